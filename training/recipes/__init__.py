"""The recipes that come with the project."""

# Each of these fills the table with its own.
from . import (
    abilities,
    charades,
    coco,
    digits,
    kinetics400,
    made_motion,
    slowfast,
    videos,
)
from .schema import RECIPES, get_recipe

__all__ = [
    "RECIPES",
    "abilities",
    "charades",
    "coco",
    "digits",
    "get_recipe",
    "kinetics400",
    "made_motion",
    "slowfast",
    "videos",
]
