"""The recipes that come with the project."""

from training.recipe import RECIPES, get_recipe

# Each of these fills the table with its own.
from training.recipes import (
    charades,
    digits,
    digits_ablations,
    kinetics400,
    slowfast,
    videos,
)

__all__ = [
    "RECIPES",
    "charades",
    "digits",
    "digits_ablations",
    "get_recipe",
    "kinetics400",
    "slowfast",
    "videos",
]
