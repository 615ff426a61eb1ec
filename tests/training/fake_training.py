"""Fake training: run folders with all files of a run but weights."""

import argparse

from training.recipes import get_recipe, overrides
from training.recipes.schema import with_seed
from training.reproduce import ablation_runs
from training.runs.run_folder import RunFolder

COMMIT = "c" * 40


class Runner:
    """Fake of `jobs.run` that creates the run folders of its jobs."""

    def __init__(self):
        self.ran: list[str] = []
        self.broken: set[str] = set()

    def __call__(self, queue, at_once):
        for job in queue:
            self.ran.append(job.name)
            if job.name not in self.broken:
                _finish(job.command)
        return sorted(self.broken & set(self.ran))


def _finish(command):
    """Create the run folder of a training.train command."""
    assert command[: len(ablation_runs.TRAIN)] == ablation_runs.TRAIN
    parser = argparse.ArgumentParser()
    for option in ("--recipe", "--seed", "--workdir"):
        parser.add_argument(option)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args(command[len(ablation_runs.TRAIN) :])
    recipe = with_seed(get_recipe(options.recipe), int(options.seed))
    recipe = overrides.override(recipe, options.set)
    run = RunFolder(options.workdir)
    with run.opened(recipe):
        run.write_result(result(recipe.name, recipe.seed))


def result(recipe, seed, commit=COMMIT):
    return {
        "recipe": recipe,
        "seed": seed,
        "examples": 400,
        "accuracy": 0.75,
        "loss": 0.5,
        "train_seconds": 9.0,
        "versions": {},
        "commits": [commit],
    }
