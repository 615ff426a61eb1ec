"""Renders MODEL_ZOO.md from the results of real runs, training/results/*.json.

A result is the result.json of a run folder, copied there as
RECIPE_seedN.json. It holds that of its image stage, which gets its row too.
Recipes without a result are listed as not run.

    python -m training.model_zoo > MODEL_ZOO.md
"""

import collections
import json
import pathlib
import sys
from collections.abc import Sequence

from training import cli, table
from training.errors import UserError
from training.recipes import RECIPES

EXAMPLE = "python -m training.model_zoo > MODEL_ZOO.md"
RESULTS = pathlib.Path(__file__).parent / "results"
INTRODUCTION = """\
# Model zoo

Made from `training/results/*.json` by `python -m training.model_zoo`; a number
stands here only if a run of committed code wrote it.

## Recall on handwritten digits

2048 test examples of handwriting that training never saw; the tasks are
described in `training/data/digits.py`. In recall, chance is 10 %, and naming
any one of the four digits of a clip is right in 25 %. "Time" is training and
validation, the image stage included.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `python -m training.model_zoo`."""
    parser = cli.parser(
        "training.model_zoo",
        "Prints MODEL_ZOO.md from training/results/*.json.",
        EXAMPLE,
    )
    parser.parse_args(arguments)
    print(render(read_results()), end="")


def read_results(folder: pathlib.Path | None = None) -> dict[str, list[dict]]:
    """The results by recipe, in the order of their seeds.

    Args:
        folder: of the files. Default: training/results.

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


def render(results: dict[str, list[dict]]) -> str:
    """The whole page as Markdown."""
    lines = [
        "| recipe | chance | test accuracy (seed) | mean | time | command |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_row(name, results.get(name, [])) for name in listed()]
    machines = sorted({_machine(r) for runs in results.values() for r in runs})
    footer = ["", "Run on:", "", *(f"- {machine}" for machine in machines)]
    return "\n".join([INTRODUCTION, *lines, *footer]) + "\n"


def listed() -> list[str]:
    """The recipes that others can repeat: not those on one's own videos."""
    return [name for name, make in RECIPES.items() if make().data is None]


def _row(name: str, runs: list[dict]) -> str:
    command = f"`python -m training.train --recipe {name} --seed N`"
    if not runs:
        return f"| {name} | | not run | | | {command} |"
    accuracies = [run["accuracy"] for run in runs]
    by_seed = ", ".join(
        f"{table.percent(run['accuracy'])} ({run['seed']})" for run in runs
    )
    mean = table.percent(sum(accuracies) / len(accuracies))
    minutes = sorted(_seconds(run) / 60 for run in runs)
    time = f"{minutes[0]:.1f} to {minutes[-1]:.1f} min"
    chance = table.percent(runs[0]["chance"])
    return f"| {name} | {chance} | {by_seed} | {mean} | {time} | {command} |"


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
