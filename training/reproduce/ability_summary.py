"""Write which network saw which ability wherever that is shown.

    python -m training.reproduce.ability_summary

From the results of the table of abilities this writes
training/recipes/shown_abilities.json, which `nonlocal-tf train --list` and
`nonlocal-tf models` print; the table in docs/pages/networks.md; and the picture
of `ability_picture`. A network saw an ability if the accuracy on all clips of
its runs is at least `ability_table.SEEN`. `nonlocal-tf ablations --publish`
does this, too.
"""

import json
import pathlib
import sys
from collections.abc import Sequence

from ..io import atomic_files, cli, tables
from ..io.user_error import UserError
from ..recipes import abilities, shown_abilities
from . import ability_picture, ability_table, accuracy
from .ability_table import Cell, Results

EXAMPLE = "python -m training.reproduce.ability_summary"
PAGE = pathlib.Path(__file__).parents[2] / "docs" / "pages" / "networks.md"
# Around the table in the page.
BEGIN = f"<!-- generated: {EXAMPLE} -->\n"
END = "<!-- end of what is generated -->\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `python -m training.reproduce.ability_summary`."""
    parser = cli.parser(
        "reproduce.ability_summary",
        "Write which network saw which ability, from "
        "training/reproduce/results/abilities,\nfor the lists of the commands, "
        "docs/pages/networks.md and README.",
        EXAMPLE,
    )
    cli.parse(parser, arguments)
    for path in update():
        print(f"Written: {path}")


def update() -> list[pathlib.Path]:
    """Write the files of this checkout; without results, no picture.

    Returns:
        Their paths.

    Raises:
        UserError: Pillow is not installed, or the page has no place for the
            table.
    """
    results = ability_table.read_results()
    page = with_table(PAGE.read_text("utf-8"), results)
    atomic_files.write_text(shown_abilities.PATH, stored(results))
    atomic_files.write_text(PAGE, page)
    if not results:
        return [shown_abilities.PATH, PAGE]
    ability_picture.write(ability_picture.OUT, results)
    return [shown_abilities.PATH, PAGE, ability_picture.OUT]


def stored(results: Results) -> str:
    """Format shown_abilities.json; recipes without results are left out."""
    recipes = {
        name: shown
        for name in abilities.NETWORKS
        if any((shown := _shown(results, name)).values())
    }
    content = {"least_accuracy": ability_table.SEEN, "recipes": recipes}
    return json.dumps(content, indent=1) + "\n"


def table(results: Results) -> str:
    """Format the table of docs/pages/networks.md: a row for each recipe."""
    body = []
    for name, (label, network, *_) in abilities.NETWORKS.items():
        shown = shown_abilities.describe(_shown(results, name)) or "not run"
        body.append((label, f"`{network}`", f"`{name}`", shown))
    saw = f"saw ({100 * ability_table.SEEN:g} % of test clips or more)"
    return tables.markdown([("", "network", "recipe", saw), *body]) + "\n"


def with_table(page: str, results: Results) -> str:
    """Replace the table of a page, between `BEGIN` and `END`.

    Raises:
        UserError: the page does not have these lines.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise UserError(f"Expected the lines {BEGIN.strip()} and {END.strip()}")
    return f"{before}{BEGIN}\n{table(results)}\n{END}{after}"


def _shown(results: Results, recipe: str) -> dict[str, list[str]]:
    """Return which abilities a network saw, and which not, of those run."""
    shown: dict[str, list[str]] = {"saw": [], "did not see": []}
    for ability in shown_abilities.LISTED:
        runs = results.get(Cell(recipe, ability).name)
        if runs:
            saw = accuracy.mean(runs) >= ability_table.SEEN
            shown["saw" if saw else "did not see"].append(ability)
    return shown


if __name__ == "__main__":
    sys.exit(cli.run(main))
