"""Resolve `sampling.frame_stride=auto` of a run."""

import dataclasses

from ..data import auto_stride, datasets
from ..data.sampling_config import AUTO
from ..data.video_dataset import VideoDataset
from ..recipes.schema import Recipe
from .run_folder import RunFolder


def resolve(recipe: Recipe, run: RunFolder) -> tuple[Recipe, str]:
    """Replace a frame stride "auto" by a number.

    Args:
        recipe: recipe of a run that starts or resumes.
        run: its folder; a recipe in it gives the number.

    Returns:
        The recipe, and a line for the screen; "" if nothing was chosen.

    Raises:
        UserError: the data cannot be read.
    """
    sampling = recipe.sampling
    if sampling is None or sampling.frame_stride != AUTO:
        return recipe, ""
    if run.recipe_path.exists():
        before = run.read_recipe().sampling
        chosen = before and dataclasses.replace(
            sampling,
            frame_stride=before.frame_stride,
            fps=before.fps if sampling.fps is None else sampling.fps,
        )
        return dataclasses.replace(recipe, sampling=chosen or sampling), ""
    dataset = datasets.load(recipe.dataset, recipe.data, sampling)
    if not isinstance(dataset, VideoDataset):
        return recipe, ""
    chosen, note = auto_stride.choose(dataset, sampling)
    return dataclasses.replace(recipe, sampling=chosen), note
