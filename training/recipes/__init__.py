"""The recipes that come with the project."""

from training.recipe import RECIPES, get_recipe
from training.recipes import (  # fill the table
    digits,
    digits_ablations,
    videos,
)

__all__ = ["RECIPES", "digits", "digits_ablations", "get_recipe", "videos"]
