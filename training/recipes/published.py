"""Shared parts of recipes with a published result.

Their modules are tables; a row becomes a builder with a help text.
"""

from collections.abc import Callable, Iterable
from typing import Any

from .schema import STARTS, Recipe, register_recipe

# Of one GPU, in float32. The sources say neither which GPUs they had nor how
# long they took; this is about half of what one of 2017 can do at best.
SUSTAINED_FLOPS = 5e12


def estimated_hours(gmacs: float, clips: int, gpus: int) -> str:
    """Estimate the training time, as text with its basis.

    Args:
        gmacs: billions of multiply-adds of one clip, forwards.
        clips: of the whole training.
        gpus: that share them.
    """
    # Two operations a multiply-add; backwards takes twice as many as forwards.
    operations = 3 * 2 * gmacs * 1e9 * clips
    hours = operations / (gpus * SUSTAINED_FLOPS) / 3600
    return f"about {hours:.0f} h (estimate at 5 TFLOP/s a GPU)"


def publish(
    recipes: Iterable[tuple[Recipe, str]], namespace: dict[str, Any]
) -> None:
    """Registers recipes under their names, each with a builder with a help.

    Args:
        recipes: each with what to start from: a file or a run folder, or "".
        namespace: of their module, where `python -m pydoc` finds the builders.
    """
    for recipe, weights in recipes:
        builder = _builder(recipe)
        builder.__name__ = builder.__qualname__ = recipe.name
        builder.__module__ = namespace["__name__"]
        builder.__doc__ = explained(recipe, weights)
        namespace[recipe.name] = register_recipe(builder)


def _builder(recipe: Recipe) -> Callable[[], Recipe]:
    return lambda: recipe


def explained(recipe: Recipe, weights: str) -> str:
    """Write the docstring of a recipe: reference, cost and command."""
    reference = recipe.reference
    if reference is None:
        raise ValueError(f"Recipe {recipe.name!r} has no reference.")
    return "\n".join(
        [
            f"{recipe.description[0].upper()}{recipe.description[1:]}.",
            "",
            f"Reference: {reference.table}: {reference.row}",
            f"Expected: {reference.expected}",
            f"Hardware: {reference.hardware}",
            f"Hours: {reference.hours}",
            f"Starts from: {STARTS[recipe.model.start]}",
            "",
            *command(recipe, weights),
        ]
    )


def command(recipe: Recipe, weights: str) -> list[str]:
    """The lines of the command that trains a recipe."""
    settings = [f"data.root={recipe.dataset}"]
    lists = {"train": "train.csv", "validation": "val.csv"}
    if recipe.dataset == "charades":
        lists = {
            "classes": "Charades_v1_classes.txt",
            "train": "Charades_v1_train.csv",
            "validation": "Charades_v1_test.csv",
        }
    settings += [f"data.{name}={file}" for name, file in lists.items()]
    settings += [f"model.weights={weights}"] * bool(weights)
    lines = [f"nonlocal-tf train --recipe {recipe.name}"]
    lines += [f"    --set {setting}" for setting in settings]
    return [f"    {line} \\" for line in lines[:-1]] + [f"    {lines[-1]}"]
