"""The runs behind the ablations, as jobs: which there are, and what they share.

A run is a `nonlocal-tf train` in a folder RECIPE_seedN, with its output
in RECIPE_seedN.log. Runs with the same image stage share it: it is trained once
a seed, in a folder of its own, and copied.
"""

import dataclasses
import pathlib
import shutil
import sys
from collections.abc import Sequence

from ..io import atomic_files
from ..io import tables as table
from ..io.user_error import UserError
from ..recipes import get_recipe, overrides
from ..recipes.schema import Recipe, with_seed
from ..runs.run_folder import RunFolder
from . import ablation_tables, jobs

TRAIN = (sys.executable, "-m", "training.train")


@dataclasses.dataclass(frozen=True)
class Run:
    """One recipe with one seed.

    Attributes:
        recipe: resolved.
        path: of its folder.
        settings: `--set` arguments that make the recipe of the one registered.
    """

    recipe: Recipe
    path: pathlib.Path
    settings: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.path)


def runs_of(
    tables: Sequence[str],
    seeds: Sequence[int],
    workdir: pathlib.Path,
    steps: int | None = None,
) -> list[Run]:
    """The runs of some tables, one table after the other, each once."""
    runs = {
        run.name: run
        for name in tables
        for seed in seeds
        for recipe in ablation_tables.recipes_of([name])
        for run in [make_run(get_recipe(recipe), seed, workdir, steps)]
    }
    return list(runs.values())


def make_run(
    recipe: Recipe, seed: int, workdir: pathlib.Path, steps: int | None
) -> Run:
    """A run of a registered recipe, shortened to some steps if asked."""
    recipe = with_seed(recipe, seed)
    name = f"{recipe.name}_seed{seed}"
    settings: list[str] = []
    if steps is not None:
        name += f"_steps{steps}"  # does not meet the folder of a whole run
        stages = {"": recipe, "image_stage.": recipe.image_stage}
        for prefix, stage in stages.items():
            if stage is not None:
                settings += _shortened(prefix, stage, steps)
        recipe = overrides.override(recipe, settings)
    return Run(recipe, workdir / name, tuple(settings))


def _shortened(prefix: str, stage: Recipe, steps: int) -> list[str]:
    warmup_steps = min(stage.optimizer.warmup_steps, steps - 1)
    return [
        f"{prefix}steps={steps}",
        f"{prefix}epoch_steps={steps}",
        f"{prefix}optimizer.warmup_steps={warmup_steps}",
    ]


def jobs_of(runs: Sequence[Run], workdir: pathlib.Path) -> list[jobs.Job]:
    """The image stages that are not trained yet, and then the runs."""
    stages: dict[str, Run] = {}
    trainings = []
    for run in runs:
        stage = shared_stage(run, workdir)
        after = None
        if stage is not None and stage.folder.read_result() is None:
            stages[stage.name] = stage
            after = stage.name
        trainings.append(_job(run, workdir, stage, after))
    return [*(_job(stage, workdir) for stage in stages.values()), *trainings]


def shared_stage(run: Run, workdir: pathlib.Path) -> Run | None:
    """The run that this one's image stage is copied from, if it can be.

    It cannot where the run has begun with one, or where the image stage is not
    what the registered recipe of its name makes.
    """
    stage = run.recipe.image_stage
    if stage is None or run.folder.image_stage.exists():
        return None
    steps = stage.steps if run.settings else None
    shared = make_run(get_recipe(stage.name), stage.seed, workdir, steps)
    return None if overrides.differences(stage, shared.recipe) else shared


def copy_stage(stage: Run, run: Run) -> None:
    """Starts the folder of a run with a copy of a trained image stage.

    Raises:
        UserError: the stage is of another recipe than the run's.
    """
    wanted = run.recipe.image_stage
    if wanted is None:
        raise UserError(f"Recipe {run.recipe.name!r} has no image stage.")
    stage.folder.check(wanted)
    with run.folder.opened(run.recipe):
        if run.folder.image_stage.exists():
            return
        with atomic_files.new_directory(
            run.folder.image_stage, last="result.json"
        ) as scratch:
            shutil.copytree(
                stage.path,
                scratch,
                dirs_exist_ok=True,
                ignore=shutil.ignore_patterns(".*"),  # the lock
            )


def _job(
    run: Run,
    workdir: pathlib.Path,
    stage: Run | None = None,
    after: str | None = None,
) -> jobs.Job:
    return jobs.Job(
        name=run.name,
        command=(
            *TRAIN,
            f"--recipe={run.recipe.name}",
            f"--seed={run.recipe.seed}",
            f"--workdir={run.path}",
            *(f"--set={setting}" for setting in run.settings),
        ),
        log=workdir / f"{run.name}.log",
        weight=run.recipe.steps,
        outcome=lambda: _outcome(run),
        after=after,
        prepare=None if stage is None else lambda: copy_stage(stage, run),
    )


def _outcome(run: Run) -> str:
    result = run.folder.read_result()
    if result is None:
        return f"no result in {run.path}"
    return table.percent(result["accuracy"])


def publish(run: Run, results: pathlib.Path) -> None:
    """Copies the result of a run to where MODEL_ZOO.md is made from.

    A result that is there already stays.

    Raises:
        UserError: it is not from committed code alone.
    """
    path = results / f"{run.name}.json"
    result = run.folder.read_result()
    if result is None or path.exists():
        return
    stage = result["image_stage"]
    commits = {*result["commits"], *(stage["commits"] if stage else [])}
    if not all(is_clean(commit) for commit in commits):
        raise UserError(
            f"{run.path} is not from committed code alone: "
            f"{', '.join(sorted(commits)) or 'no commit'}. Train it anew from "
            "a clean checkout."
        )
    atomic_files.write_text(path, run.folder.result_path.read_text("utf-8"))
    print(f"published {path}")


def is_clean(commit: str | None) -> bool:
    """Whether a recorded commit is known and had no changes."""
    return commit is not None and len(commit) == 40
