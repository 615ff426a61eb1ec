"""The runs of the ablations, as jobs with shared image stages.

A run is a training in a folder RECIPE_seedN, with its output in
RECIPE_seedN.log. An image stage of several runs is trained once per seed, in a
folder of its own, and copied.
"""

import dataclasses
import itertools
import json
import pathlib
import shutil
import sys
from collections.abc import Sequence

from ..data.ability_config import ABILITIES
from ..io import atomic_files
from ..io import tables as table
from ..io.user_error import UserError
from ..recipes import abilities, get_recipe, overrides
from ..recipes.schema import Recipe, with_seed
from ..runs.run_folder import RunFolder
from . import ability_table, ablation_tables, jobs

ABILITIES_TABLE = "abilities"
TRAIN = (sys.executable, "-m", "training.train")


@dataclasses.dataclass(frozen=True)
class AblationRun:
    """One recipe with one seed.

    Attributes:
        recipe: resolved.
        path: of its folder.
        settings: `--set` arguments that change the registered recipe to it.
        ability: of the clips, for a recipe of the table of abilities.
    """

    recipe: Recipe
    path: pathlib.Path
    settings: tuple[str, ...]
    ability: str | None = None

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def key(self) -> str:
        """The name of its row, or cell, among the results."""
        if self.ability is None:
            return self.recipe.name
        return ability_table.key(self.recipe.name, self.ability)

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.path)


def runs_of(
    tables: Sequence[str],
    seeds: Sequence[int],
    workdir: pathlib.Path,
    steps: int | None = None,
    chosen_abilities: Sequence[str] | None = None,
) -> list[AblationRun]:
    """List the runs of some tables, without duplicates.

    Args:
        tables: names in `ablation_tables.TABLES`, or `ABILITIES_TABLE`.
        seeds: of each recipe's runs.
        workdir: folder of the run folders.
        steps: that each stage is shortened to.
        chosen_abilities: of the table of abilities; None for all.
    """
    runs = {
        run.name: run
        for name in tables
        for seed in seeds
        for recipe, ability in _cells_of(name, chosen_abilities)
        for run in [make_run(get_recipe(recipe), seed, workdir, steps, ability)]
    }
    return list(runs.values())


def _cells_of(
    table_name: str, chosen: Sequence[str] | None
) -> list[tuple[str, str | None]]:
    """List the recipes of a table, each with its abilities or None."""
    if table_name != ABILITIES_TABLE:
        recipes = ablation_tables.recipes_of([table_name])
        return [(recipe, None) for recipe in recipes]
    return list(itertools.product(abilities.NETWORKS, chosen or ABILITIES))


def make_run(
    recipe: Recipe,
    seed: int,
    workdir: pathlib.Path,
    steps: int | None,
    ability: str | None = None,
) -> AblationRun:
    """Make a run of a registered recipe, optionally shortened.

    Args:
        recipe: as registered.
        seed: of the run.
        workdir: folder of its folder.
        steps: that each stage is shortened to.
        ability: of the clips, for a recipe of the table of abilities.
    """
    recipe = with_seed(recipe, seed)
    name = f"{recipe.name}_seed{seed}"
    settings: list[str] = []
    if ability is not None:
        name = f"{ability_table.key(recipe.name, ability)}_seed{seed}"
        settings = [f"data.clips.ability={ability}"]
        recipe = overrides.override(recipe, settings)
    if steps is not None:
        name += f"_steps{steps}"  # another folder than the whole run's
        stages = {"": recipe, "image_stage.": recipe.image_stage}
        for prefix, stage in stages.items():
            if stage is not None:
                settings += _shortened(prefix, stage, steps)
        recipe = overrides.override(recipe, settings)
    return AblationRun(recipe, workdir / name, tuple(settings), ability)


def _shortened(prefix: str, stage: Recipe, steps: int) -> list[str]:
    warmup_steps = min(stage.optimizer.warmup_steps, steps - 1)
    return [
        f"{prefix}steps={steps}",
        f"{prefix}epoch_steps={steps}",
        f"{prefix}optimizer.warmup_steps={warmup_steps}",
    ]


def jobs_of(
    runs: Sequence[AblationRun], workdir: pathlib.Path
) -> list[jobs.Job]:
    """Make the jobs: missing image stages first, then the runs."""
    stages: dict[str, AblationRun] = {}
    trainings = []
    for run in runs:
        stage = shared_stage(run, workdir)
        after = None
        if stage is not None and stage.folder.read_result() is None:
            stages[stage.name] = stage
            after = stage.name
        trainings.append(_job(run, workdir, stage, after))
    return [*(_job(stage, workdir) for stage in stages.values()), *trainings]


def shared_stage(run: AblationRun, workdir: pathlib.Path) -> AblationRun | None:
    """Return the run whose result is copied as this run's image stage, if any.

    There is none if the run has its own image stage already, or if the stage
    differs from the registered recipe of its name.
    """
    stage = run.recipe.image_stage
    if stage is None or run.folder.image_stage.exists():
        return None
    steps = stage.steps if run.settings else None
    shared = make_run(get_recipe(stage.name), stage.seed, workdir, steps)
    return None if overrides.differences(stage, shared.recipe) else shared


def copy_stage(stage: AblationRun, run: AblationRun) -> None:
    """Copy a trained image stage to the folder of a run.

    Raises:
        UserError: the stage is of another recipe than the run's.
    """
    expected = run.recipe.image_stage
    if expected is None:
        raise UserError(f"Recipe {run.recipe.name!r} has no image stage.")
    stage.folder.check(expected)
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
    run: AblationRun,
    workdir: pathlib.Path,
    stage: AblationRun | None = None,
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


def _outcome(run: AblationRun) -> str:
    result = run.folder.read_result()
    if result is None:
        return f"no result in {run.path}"
    return table.percent(result["accuracy"])


def publish(run: AblationRun, results: pathlib.Path) -> None:
    """Copy the result of a run to the results of MODEL_ZOO.md.

    Existing results are kept.

    Raises:
        UserError: the code was not committed.
    """
    if run.ability is not None:
        results = results / "abilities"
    path = results / f"{run.name}.json"
    result = run.folder.read_result()
    if result is None or path.exists():
        return
    stage = result["image_stage"]
    commits = {*result["commits"], *(stage["commits"] if stage else [])}
    if not all(is_clean(commit) for commit in commits):
        raise UserError(
            f"{run.path} is not from committed code: "
            f"{', '.join(sorted(commits)) or 'no commit'}. Train it anew from "
            "a clean checkout."
        )
    text = run.folder.result_path.read_text("utf-8")
    if run.ability is not None:
        kept = ability_table.summary(result, run.ability)
        text = json.dumps(kept, indent=1) + "\n"
    path.parent.mkdir(exist_ok=True)
    atomic_files.write_text(path, text)
    print(f"published {path}")


def is_clean(commit: str | None) -> bool:
    """Return True for a known commit without local changes."""
    return commit is not None and len(commit) == 40
