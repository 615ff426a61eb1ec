"""Render MODEL_ZOO.md from results of real runs, reproduce/results/*.json.

A result is the result.json of a run folder, copied there as
RECIPE_seedN.json. It holds that of its image stage, which gets its row too.
Recipes without a result are listed as not run. Rows of ablations are in the
tables of `training/reproduce/ablation_tables.py`; recipes with a `reference`
are listed beside the number that they reproduce.

    python -m training.reproduce.model_zoo > MODEL_ZOO.md
"""

import collections
import json
import pathlib
import sys
import textwrap
from collections.abc import Mapping, Sequence

from ..io import cli, tables
from ..io.user_error import UserError
from ..recipes import digits_ablations, get_recipe
from ..recipes.schema import Recipe, names_of
from . import ablation_tables, detector_zoo, finetune_tasks

Results = Mapping[str, Sequence[dict]]

EXAMPLE = "python -m training.reproduce.model_zoo > MODEL_ZOO.md"
RESULTS = pathlib.Path(__file__).parent / "results"
INTRODUCTION = """\
# Model zoo

Made from `training/reproduce/results/*.json` by `python -m
training.reproduce.model_zoo`; a number stands here only if a run of committed
code wrote it.

## Recall on handwritten digits

2048 test examples of handwriting that training never saw; the tasks are
described in `training/data/digits.py`. In recall, chance is 10 %, and naming
any one of the four digits of a clip is right in 25 %. "Time" is training and
validation, the image stage included.
"""
ABLATIONS = """\
## The paper's ablations, on digits

Rows of table 2 of the paper, each beside a network on recall of digits that
differs from `digits_c2d` or `digits_nl` in the same way. The tasks differ,
recall on digits against Kinetics, and so do the networks: the order of rows can
be compared, not numbers. "none" is where the small network has no counterpart.
Table 2a is made by `python -m training.reproduce.ablations --table 2a --seeds
0,1,2`, and so on. What is not in the table above was trained with one thread a
run (`--jobs 2` on two cores), on a machine busy with other work, so there are
no times; another number of threads changes a run as another seed does.
"""
REFERENCES = """\
## Recipes of published numbers

What each is expected to reach, where that number is from, and what it takes
there: hours are estimates, at 5 TFLOP/s a GPU. Numbers in % are top-1 / top-5
on Kinetics if nothing else is said. The paper's are of whole frames
(`--views 10x1 --full-frame`), those of the README of its code and SlowFast's of
3 crops (`--views 10x3`). Where paper and code differ, and what neither says:
`python -m pydoc training.recipes.kinetics400`, `.slowfast` and `.charades`. The
data are not in this repository: the recipes say what they need.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `python -m training.reproduce.model_zoo`."""
    parser = cli.parser(
        "reproduce.model_zoo",
        "Prints MODEL_ZOO.md from training/reproduce/results/*.json.",
        EXAMPLE,
    )
    parser.parse_args(arguments)
    print(render(read_results()), end="")


def read_results(folder: pathlib.Path | None = None) -> dict[str, list[dict]]:
    """Read the results by recipe, in seed order.

    Args:
        folder: of the files. Default: training/reproduce/results.

    Raises:
        UserError: a file's name is not that of its recipe and seed.
    """
    results: dict[str, dict[int, dict]] = collections.defaultdict(dict)
    for path in sorted((folder or RESULTS).glob("*.json")):
        result = json.loads(path.read_text("utf-8"))
        expected = f"{result['recipe']}_seed{result['seed']}.json"
        if path.name != expected:
            raise UserError(f"Expected {path} to be called {expected}.")
        # Recipes that share an image stage each train it anew: one is shown.
        for run in filter(None, (result, result["image_stage"])):
            results[run["recipe"]].setdefault(run["seed"], run)
    return {
        recipe: [runs[seed] for seed in sorted(runs)]
        for recipe, runs in results.items()
    }


def render(results: Results) -> str:
    """Format the page as Markdown."""
    head = "recipe", "chance", "test accuracy (seed)", "mean", "time", "command"
    rows = [_row(name, results.get(name, [])) for name in listed()]
    runs = [run for runs in results.values() for run in runs]
    machines = sorted({_machine(run) for run in runs})
    parts = [
        INTRODUCTION,
        tables.markdown([head, *rows]),
        "",
        ABLATIONS,
        *_ablations(results),
        *finetune_tasks.section(),
        *_references(results),
        *detector_zoo.section(),
        "## Run on",
        "",
        *(f"- {machine}" for machine in machines),
    ]
    return "\n".join(parts) + "\n"


def listed() -> list[str]:
    """List the recipes of the first table.

    It excludes recipes on data of the user, and the rows of ablations, which
    have tables of their own.
    """
    return [
        name
        for name in names_of(Recipe)
        if get_recipe(name).data is None
        and name not in digits_ablations.VARIANTS
    ]


def cells(row: ablation_tables.TableRow, results: Results) -> tuple[str, ...]:
    """Format a row of an ablation: label, recipe, mean, by seed, paper.

    Args:
        row: of a table.
        results: finished runs by recipe, in the order of their seeds.
    """
    if row.recipe is None:
        return (row.label, "none", "", "", row.paper)
    return (row.label, row.recipe, *_reached(results, row.recipe), row.paper)


def _ablations(results: Results) -> list[str]:
    head = "", "recipe", "digits, mean", "by seed", "paper, top-1 / top-5 %"
    lines = []
    for name, chosen in ablation_tables.TABLES.items():
        rows = [cells(row, results) for row in chosen.rows]
        lines += [f"### Table {name}: {chosen.title}", ""]
        about = f"Paper: {chosen.network}. {chosen.remark}".rstrip()
        lines += [
            textwrap.fill(about, 80),
            "",
            tables.markdown([head, *rows]),
            "",
        ]
    return lines


def _references(results: Results) -> list[str]:
    """Format the recipes with a published number to reproduce."""
    head = "recipe", "reproduces", "expected", "hardware, hours", "ours"
    recipes = [get_recipe(name) for name in names_of(Recipe)]
    rows = [
        (
            recipe.name,
            f"{recipe.reference.table}, {recipe.reference.row}",
            recipe.reference.expected.removesuffix(" top-1 / top-5"),
            f"{recipe.reference.hardware}, "
            + recipe.reference.hours.partition(" (")[0],
            _reached(results, recipe.name)[0],
        )
        for recipe in recipes
        if recipe.reference is not None
    ]
    return [REFERENCES, tables.markdown([head, *rows]), ""] if rows else []


def _reached(results: Results, recipe: str) -> tuple[str, str]:
    """Return the mean accuracy of a recipe's runs, and that of each seed."""
    runs = results.get(recipe, [])
    if not runs:
        return "not run", ""
    mean = sum(run["accuracy"] for run in runs) / len(runs)
    by_seed = ", ".join(
        f"{tables.percent(run['accuracy'])} ({run['seed']})" for run in runs
    )
    return tables.percent(mean), by_seed


def _row(name: str, runs: Sequence[dict]) -> tuple[str, ...]:
    command = f"`nonlocal-tf train --recipe {name} --seed N`"
    if not runs:
        return (name, "", "not run", "", "", command)
    mean, by_seed = _reached({name: runs}, name)
    minutes = sorted(_seconds(run) / 60 for run in runs)
    time = f"{minutes[0]:.1f} to {minutes[-1]:.1f} min"
    chance = tables.percent(runs[0]["chance"])
    return (name, chance, by_seed, mean, time, command)


def _seconds(run: dict) -> float:
    stage = run["image_stage"]
    return run["train_seconds"] + (stage["train_seconds"] if stage else 0)


def _machine(run: dict) -> str:
    versions = run["versions"]
    packages = versions["packages"]
    tensorflow = packages["tensorflow"] or packages["tensorflow-cpu"]
    return (
        f"{versions['machine']}; TensorFlow {tensorflow}, Keras "
        f"{packages['keras']}, Python {versions['python']}, oneDNN "
        f"{'on' if versions['onednn'] == '1' else 'off'}; commit "
        f"{(versions['commit'] or 'unknown')[:10]}"
    )


if __name__ == "__main__":
    sys.exit(cli.run(main))
