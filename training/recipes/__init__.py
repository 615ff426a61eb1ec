"""The recipes that come with the project."""

from training.recipe import RECIPES, get_recipe
from training.recipes import digits, videos  # fill the table

__all__ = ["RECIPES", "digits", "get_recipe", "videos"]
