"""Trains the rows of the paper's ablations on digits, and prints its tables.

Each run is a `python -m training.train` in a folder RECIPE_seedN of the
--workdir, with its output in RECIPE_seedN.log; the same command goes on after
a stop. Runs with the same image stage share it: it is trained once a seed and
copied, which gives the weights that training it in each would.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import shutil
import sys
from collections.abc import Sequence

from training import (
    ablation_tables,
    cli,
    files,
    jobs,
    model_zoo,
    recipe_text,
    remote,
    table,
)
from training.errors import UserError
from training.recipe import Recipe, with_seed
from training.recipes import get_recipe
from training.run_folder import RunFolder, versions

EXAMPLE = "python -m training.ablations --table 2a --seeds 0,1,2"
TRAIN = (sys.executable, "-m", "training.train")
Results = dict[str, list[dict]]


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


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `python -m training.ablations`."""
    options, given = _parse(arguments)
    if not given:
        print(_overview())
        return
    tables = options.table or list(ablation_tables.TABLES)
    runs = runs_of(tables, options.seeds, options.workdir, options.steps)
    published = {} if options.steps else model_zoo.read_results()
    left = [run for run in runs if not _is_done(run, published)]
    if options.publish:
        _check_publishing(options, left)
    failed: list[str] = []
    if left and not options.no_train:
        failed = train(left, options.workdir, options.jobs)
    if options.publish:
        for run in runs:
            publish(run, model_zoo.RESULTS)
    print(_tables(tables, merged(published, runs)))
    if failed:
        raise UserError(
            f"Not trained to the end: {', '.join(failed)}. What they printed "
            f"is in {options.workdir}/NAME.log."
        )


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
        recipe = recipe_text.override(recipe, settings)
    return Run(recipe, workdir / name, tuple(settings))


def _shortened(prefix: str, stage: Recipe, steps: int) -> list[str]:
    warmup_steps = min(stage.optimizer.warmup_steps, steps - 1)
    return [
        f"{prefix}steps={steps}",
        f"{prefix}epoch_steps={steps}",
        f"{prefix}optimizer.warmup_steps={warmup_steps}",
    ]


def train(runs: Sequence[Run], workdir: pathlib.Path, at_once: int):
    """Trains what is left of some runs, and the image stages that they need.

    Returns:
        The names of those that did not end well.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    print(
        f"{len(runs)} runs to train, {at_once} at a time, with "
        f"{jobs.threads_each(at_once)} threads each.",
        flush=True,
    )
    try:
        with files.locked(workdir):
            return jobs.run(jobs_of(runs, workdir), at_once)
    except KeyboardInterrupt:
        print("\nTo go on after the last whole epochs: the same command.")
        raise


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
    return None if recipe_text.differences(stage, shared.recipe) else shared


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
        with files.new_directory(
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
    if not all(_is_clean(commit) for commit in commits):
        raise UserError(
            f"{run.path} is not from committed code alone: "
            f"{', '.join(sorted(commits)) or 'no commit'}. Train it anew from "
            "a clean checkout."
        )
    files.write_text(path, json.dumps(result, indent=2) + "\n")
    print(f"published {path}")


def merged(published: Results, runs: Sequence[Run]) -> Results:
    """Published results and those of some runs, in the order of seeds."""
    by_seed = {
        recipe: {result["seed"]: result for result in results}
        for recipe, results in published.items()
    }
    for run in runs:
        result = run.folder.read_result()
        if result is not None:
            seeds = by_seed.setdefault(run.recipe.name, {})
            seeds.setdefault(run.recipe.seed, result)
    return {
        recipe: [seeds[seed] for seed in sorted(seeds)]
        for recipe, seeds in by_seed.items()
    }


def _is_done(run: Run, published: Results) -> bool:
    seeds = {result["seed"] for result in published.get(run.recipe.name, [])}
    return run.recipe.seed in seeds or run.folder.read_result() is not None


def _is_clean(commit: str | None) -> bool:
    return commit is not None and len(commit) == 40


def _check_publishing(options: argparse.Namespace, left: Sequence[Run]) -> None:
    """Refuses at once what could not be published after hours."""
    if options.steps is not None:
        raise UserError("--publish is for whole runs: leave --steps out.")
    commit = versions()["commit"]
    if left and not options.no_train and not _is_clean(commit):
        raise UserError(
            "--publish takes runs of committed code alone, and this checkout "
            f"is {commit}: commit first."
        )


def _tables(names: Sequence[str], results: Results) -> str:
    return "\n\n".join(_table(name, results) for name in names)


def _table(name: str, results: Results) -> str:
    chosen = ablation_tables.TABLES[name]
    head = ("", "recipe", "digits", "by seed", "paper, top-1 / top-5 %")
    rows = [model_zoo.cells(row, results) for row in chosen.rows]
    title = f"Table {name}: {chosen.title} (paper: {chosen.network})"
    return f"{title}\n{table.render([head, *rows])}"


def _overview() -> str:
    return (
        f"{_tables(list(ablation_tables.TABLES), model_zoo.read_results())}\n\n"
        f"Example:\n  {EXAMPLE}\n\nAll options: "
        "python -m training.ablations --help"
    )


def _parse(arguments: Sequence[str] | None):
    parser = cli.parser(
        "training.ablations",
        "Trains the rows of the paper's ablations on handwritten digits and "
        "prints its tables.\nFinished and published runs are not trained "
        "again; stopped ones go on. Without\narguments: prints the tables.",
        EXAMPLE,
    )
    parser.add_argument(
        "--table",
        action="append",
        choices=list(ablation_tables.TABLES),
        help="of the paper; repeatable (default: all)",
    )
    parser.add_argument(
        "--seeds",
        type=_seeds,
        default=(0,),
        metavar="N,N",
        help="of each row's runs (default: 0)",
    )
    parser.add_argument(
        "--workdir",
        type=_folder,
        default=pathlib.Path("runs/ablations"),
        metavar="DIR",
        help="folder of the run folders (default: runs/ablations)",
    )
    parser.add_argument(
        "--jobs",
        type=cli.count,
        default=max((os.cpu_count() or 1) // 2, 1),
        metavar="N",
        help="runs at a time, which share the cores (default: one for every "
        "two cores)",
    )
    parser.add_argument(
        "--steps",
        type=cli.count,
        metavar="N",
        help="train each stage for so many steps only, to try the command",
    )
    parser.add_argument(
        "--no-train",
        action="store_true",
        help="only print, and publish, what is there",
    )
    parser.add_argument(
        "--publish",
        action="store_true",
        help="copy results to training/results, for MODEL_ZOO.md",
    )
    return cli.parse(parser, arguments)


def _folder(text: str) -> pathlib.Path:
    path = remote.as_path(text)
    if not isinstance(path, pathlib.Path):
        raise argparse.ArgumentTypeError(
            f"expected a folder of this machine, received {text}"
        )
    return path


def _seeds(text: str) -> tuple[int, ...]:
    if not all(part.isdecimal() for part in text.split(",")):
        raise argparse.ArgumentTypeError(
            f"expected seeds such as 0,1,2, received {text!r}"
        )
    return tuple(dict.fromkeys(map(int, text.split(","))))


if __name__ == "__main__":
    sys.exit(cli.run(main))
