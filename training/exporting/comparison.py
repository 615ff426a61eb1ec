"""Compare the outputs of an exported model with those of the network."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from ..data import Dataset
from ..io.user_error import UserError

EXAMPLES = 8


@dataclasses.dataclass(frozen=True)
class Examples:
    """Pixels to compare on.

    Attributes:
        name: description.
        pixels: uint8 clips or images.
    """

    name: str
    pixels: Sequence[np.ndarray]


def validation_examples(
    dataset: Dataset | None, shape: tuple[int, ...]
) -> Examples:
    """Choose examples throughout the validation split, or noise without it.

    Noise is a weak test: networks are often too certain about it.

    Args:
        dataset: of the training; None if it is not available.
        shape: of a clip or image.
    """
    pixels = _read_examples(dataset) if dataset is not None else []
    if pixels:
        name = f"{len(pixels)} validation example"
        return Examples(name + "s" * (len(pixels) > 1), pixels)
    noise = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    return Examples("noise, as no validation example could be read", [noise])


def _read_examples(dataset: Dataset) -> list[np.ndarray]:
    """Read those of some evenly spaced validation examples that are valid."""
    count = dataset.examples("validation")
    pixels = []
    for index in sorted({*np.linspace(0, count - 1, EXAMPLES, dtype=int)}):
        try:
            pixels.append(dataset.example("validation", int(index)).pixels)
        except UserError:
            continue  # unreadable since; the name has the number of the rest
    return pixels


def largest_difference(
    exported: Callable[[np.ndarray], np.ndarray],
    expected: Callable[[np.ndarray], np.ndarray],
    pixels: Sequence[np.ndarray],
) -> float:
    """Return the largest difference of two functions of a batch of one."""
    return max(
        float(np.abs(exported(x[None]) - np.asarray(expected(x[None]))).max())
        for x in pixels
    )
