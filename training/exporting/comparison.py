"""How far what was exported is from the network it was made of."""

from collections.abc import Callable

import numpy as np

from ..data import Dataset, datasets
from ..data.datasets import DatasetInfo
from ..io.user_error import UserError
from ..recipes.schema import Recipe

EXAMPLES = 8


def examples(
    dataset: Dataset | DatasetInfo, recipe: Recipe | None = None
) -> tuple[str, list[np.ndarray]]:
    """Pixels to compare on: of noise a network often is too certain.

    Args:
        dataset: of the run, or what is known of it.
        recipe: of the run, which says where the data set is.

    Returns:
        What they are, and uint8 clips or images from all over the validation
        split, or noise where that is not there.
    """
    pixels = _of_validation(dataset, recipe)
    if pixels:
        name = f"{len(pixels)} validation example"
        return name + "s" * (len(pixels) > 1), pixels
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, dataset.element_shape, "uint8")
    return "noise, as no validation example could be read", [noise]


def _of_validation(
    dataset: Dataset | DatasetInfo, recipe: Recipe | None
) -> list[np.ndarray]:
    """Examples from all over the validation split that can be read."""
    try:
        if recipe is not None and isinstance(dataset, DatasetInfo):
            dataset = datasets.load(
                recipe.dataset, recipe.data, recipe.sampling
            )
    except (UserError, OSError):
        return []  # a run is exported without its data, too
    if isinstance(dataset, DatasetInfo):
        return []
    count = dataset.examples("validation")
    pixels = []
    for index in sorted({*np.linspace(0, count - 1, EXAMPLES, dtype=int)}):
        try:
            pixels.append(dataset.example("validation", int(index)).pixels)
        except UserError:
            continue  # it cannot be read any more: the name counts those used
    return pixels


def furthest(
    asked: Callable[[np.ndarray], np.ndarray],
    expected: Callable[[np.ndarray], np.ndarray],
    pixels: list[np.ndarray],
) -> float:
    """The largest difference of two functions of a batch of one."""
    return max(
        float(np.abs(asked(one[None]) - np.asarray(expected(one[None]))).max())
        for one in pixels
    )
