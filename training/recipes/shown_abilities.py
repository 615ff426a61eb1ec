"""Abilities that the networks of `abilities` saw when they were trained.

Read from shown_abilities.json, which `training.reproduce.ability_summary` makes
from the stored results: those are in a clone alone, the file is installed.
"""

import functools
import json
import pathlib
from collections.abc import Mapping, Sequence

from ..data.ability_config import ABILITIES
from . import abilities

PATH = pathlib.Path(__file__).with_name("shown_abilities.json")
# Not `all`: five of its six parts may be enough for the least accuracy.
LISTED = tuple(name for name in ABILITIES if name != "all")


def of_recipe(name: str) -> str:
    """Describe what the network of a recipe saw, such as "saw: motion".

    Returns:
        A line, or "" for a recipe without results.
    """
    shown = describe(_read()["recipes"].get(name, {}))
    return f"saw: {shown}" if shown else ""


def of_network(network: str) -> list[str]:
    """Describe what a registered network saw, by the recipes that have it.

    Returns:
        A line for each recipe with results, with the recipe's name.
    """
    recipes = [n for n, row in abilities.NETWORKS.items() if row[1] == network]
    return [
        f"{of_recipe(name)} ({name})" for name in recipes if of_recipe(name)
    ]


def legend() -> str:
    """Say what "saw" means; "" where there are no results."""
    if not _read()["recipes"]:
        return ""
    least = f"{100 * _read()['least_accuracy']:g} %"
    return (
        f"saw: the network classified {least} or more of the test clips that "
        "take an\nability, trained on such; chance is 50 %. See "
        "docs/pages/abilities.md"
    )


def describe(shown: Mapping[str, Sequence[str]]) -> str:
    """List the abilities that were seen, and those that were not run.

    Args:
        shown: abilities by "saw" and "did not see"; the others were not run.

    Returns:
        A phrase, or "" where none was run.
    """
    ran = {ability for names in shown.values() for ability in names}
    if not ran:
        return ""
    seen = ", ".join(shown["saw"]) or "none"
    missing = ", ".join(name for name in LISTED if name not in ran)
    return f"{seen}; not run: {missing}" if missing else seen


@functools.cache
def _read() -> dict:
    return json.loads(PATH.read_text("utf-8"))
