"""The list of recipes, as `nonlocal-tf train --list` prints it."""

import re

from ..io import tables
from . import (
    RECIPES,
    abilities,
    charades,
    coco,
    digits,
    kinetics400,
    made_motion,
    shown_abilities,
    slowfast,
    videos,
)
from .schema import BaseRecipe

HEADINGS = {
    digits: "Recall on handwritten digits, in minutes on a CPU",
    abilities: "Which network sees what, on generated clips",
    videos: "Your own videos",
    made_motion: "Your own videos",
    kinetics400: "Kinetics-400",
    slowfast: "As SlowFast trains on Kinetics-400",
    charades: "Charades",
    coco: "Detection",
}


OTHERS = "Other recipes"
FOOTER = f"""\
C2D networks ignore motion and the order of frames, I3D networks do not.
Numbers are those of the sources; hours are estimates, at 5 TFLOP/s a GPU. The
paper's are of whole frames (--views 10x1 --full-frame), those of the README of
its code and SlowFast's of 3 crops (--views 10x3). What was run here is in
MODEL_ZOO.md. Where paper and code differ, and the commands of a module's
recipes with what they need: python -m pydoc {kinetics400.__name__},
python -m pydoc {coco.__name__}"""


def catalogue() -> str:
    """All recipes by what they are for, with what they are to reach."""
    headings = {m.__name__: heading for m, heading in HEADINGS.items()}
    groups: dict[str, list[BaseRecipe]] = {h: [] for h in headings.values()}
    for builder in RECIPES.values():
        recipe = builder()
        title = headings.get(builder.__module__, OTHERS) + _table(recipe)
        groups.setdefault(title, []).append(recipe)
    ordered = sorted(groups, key=_place)
    return (
        "\n\n".join(
            f"{title}:\n{_group(groups[title])}"
            for title in ordered
            if groups[title]
        )
        + f"\n\n{FOOTER}"
        + f"\n{shown_abilities.legend()}".rstrip()
    )


def _place(title: str) -> int:
    """Return the sort key of a group: in the order of headings, others last."""
    starts = [title.startswith(heading) for heading in HEADINGS.values()]
    return starts.index(True) if True in starts else len(starts)


def _table(recipe: BaseRecipe) -> str:
    """The first table of the paper that a recipe is a row of."""
    reference = recipe.reference
    if reference is None:
        return ""
    match = re.match(r"tables? (\w+)", reference.table)
    if match is None and recipe.name.startswith("k400"):
        return ", the authors' other networks"
    return f", table {match.group(1)}" if match else ""


def _group(recipes: list[BaseRecipe]) -> str:
    if any(recipe.reference is None for recipe in recipes):
        rows = tables.render([(r.name, r.description) for r in recipes])
        notes = [shown_abilities.of_recipe(r.name) for r in recipes]
    else:
        rows = tables.render([_facts(recipe) for recipe in recipes])
        references = [r.reference for r in recipes if r.reference]
        notes = [f"{source.table}: {source.row}" for source in references]
    return "\n".join(
        line + f"\n      {note}".rstrip()
        for line, note in zip(rows.splitlines(), notes, strict=True)
    )


def _facts(recipe: BaseRecipe) -> tuple[str, ...]:
    """Name, what is expected, hardware and hours."""
    reference = recipe.reference
    if reference is None:
        return (recipe.name,)
    return (
        recipe.name,
        reference.expected.removesuffix(" top-1 / top-5"),
        reference.hardware,
        reference.hours.partition(" (")[0],
    )
