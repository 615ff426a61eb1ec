"""The trainings of the tables, as jobs in run folders, and their results.

A training is a folder CELL_seedN, with its output in CELL_seedN.log.
"""

import dataclasses
import itertools
import json
import pathlib
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
from .ability_table import Cell

ABILITIES_TABLE = "abilities"
# Of this package, which is `nonlocal_tf.training` where it is installed.
PACKAGE = __name__.removesuffix(".reproduce.ablation_runs")
TRAIN = (sys.executable, "-m", f"{PACKAGE}.train")


@dataclasses.dataclass(frozen=True)
class AblationRun:
    """One training of a cell of a table.

    Attributes:
        cell: the network and its clips.
        recipe: resolved.
        path: of its folder.
        settings: `--set` arguments that change the registered recipe to it.
    """

    cell: Cell
    recipe: Recipe
    path: pathlib.Path
    settings: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def file(self) -> str:
        """The name of its published result."""
        return f"{self.name}.json"

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.path)

    def read_result(self) -> dict | None:
        """Read the result in its folder; None without one.

        Raises:
            UserError: the result is that of other settings.
        """
        result = self.folder.read_result()
        if result is not None:
            self.folder.check(self.recipe)
        return result


def runs_of(
    tables: Sequence[str],
    seeds: Sequence[int],
    workdir: pathlib.Path,
    steps: int | None = None,
    chosen_abilities: Sequence[str] | None = None,
) -> list[AblationRun]:
    """List the trainings of some tables, without duplicates.

    Args:
        tables: names in `ablation_tables.TABLES`, or `ABILITIES_TABLE`.
        seeds: of each cell's trainings.
        workdir: folder of the run folders.
        steps: that trainings are shortened to.
        chosen_abilities: of clips; None for all.
    """
    chosen = set(chosen_abilities or ABILITIES)
    runs = {
        run.name: run
        for name in tables
        for seed in seeds
        for cell in cells_of(name)
        if cell.ability in chosen
        for run in [make_run(cell, seed, workdir, steps)]
    }
    return list(runs.values())


def cells_of(table_name: str) -> list[Cell]:
    """List the cells of a table, by rows."""
    if table_name != ABILITIES_TABLE:
        return ablation_tables.TABLES[table_name].cells
    return list(
        itertools.starmap(
            Cell, itertools.product(abilities.NETWORKS, ABILITIES)
        )
    )


def make_run(
    cell: Cell, seed: int, workdir: pathlib.Path, steps: int | None = None
) -> AblationRun:
    """Make a training of a cell, optionally shortened.

    Args:
        cell: of a table.
        seed: of the training.
        workdir: folder of its folder.
        steps: that it is shortened to.
    """
    name = f"{cell.name}_seed{seed}"
    settings = list(cell.settings)
    recipe = with_seed(get_recipe(cell.recipe), seed)
    if steps is not None:
        name += f"_steps{steps}"  # another folder than the whole run's
        warmup_steps = min(recipe.optimizer.warmup_steps, steps - 1)
        settings += [
            f"steps={steps}",
            f"epoch_steps={steps}",
            f"optimizer.warmup_steps={warmup_steps}",
        ]
    recipe = overrides.override(recipe, settings)
    return AblationRun(cell, recipe, workdir / name, tuple(settings))


def jobs_of(
    runs: Sequence[AblationRun], workdir: pathlib.Path
) -> list[jobs.Job]:
    """Make the job of each training."""
    return [_job(run, workdir) for run in runs]


def _job(run: AblationRun, workdir: pathlib.Path) -> jobs.Job:
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
    )


def _outcome(run: AblationRun) -> str:
    result = run.folder.read_result()
    if result is None:
        return f"no result in {run.path}"
    return table.percent(result["accuracy"])


def publish(run: AblationRun, results: pathlib.Path) -> None:
    """Copy the result of a training to those of MODEL_ZOO.md.

    Existing results are kept.

    Args:
        run: finished, or it is left out.
        results: folder of the published results.

    Raises:
        UserError: the code was not committed.
    """
    path = results / run.file
    result = run.read_result()
    if result is None or path.exists():
        return
    commits = set(result["commits"])
    if not commits or not all(is_clean(commit) for commit in commits):
        raise UserError(
            f"{run.path} is not from committed code: "
            f"{', '.join(sorted(commits)) or 'no commit'}. Train it anew from "
            "a clean checkout."
        )
    kept = ability_table.summary(result, run.cell)
    path.parent.mkdir(exist_ok=True)
    atomic_files.write_text(path, json.dumps(kept, indent=1) + "\n")
    print(f"published {path}")


def is_clean(commit: str | None) -> bool:
    """Return True for a known commit without local changes."""
    return commit is not None and len(commit) == 40
