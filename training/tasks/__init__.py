"""Tasks that networks are trained for, and the table of them."""

from ..recipes.schema import BaseRecipe
from .base import Task
from .detection import Detection
from .video_classification import VideoClassification

TASKS: tuple[Task, ...] = (VideoClassification(), Detection())


def of_recipe(recipe: BaseRecipe) -> Task:
    """Return the task that a recipe trains for."""
    return next(task for task in TASKS if isinstance(recipe, task.schema))


__all__ = ["TASKS", "Detection", "Task", "VideoClassification", "of_recipe"]
