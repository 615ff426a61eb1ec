"""Resizing of maps as products of matrices, as OpenCV and PyTorch resize.

`keras.ops.image.resize` has another cubic kernel, of a = -0.5: on maps up to
3.9 its values are up to 0.13 away.
"""

from collections.abc import Callable

import numpy as np

from nonlocal_tf.typing import Tensor

CUBIC_A = -0.75


def linear_weights(cells: int, size: int) -> np.ndarray:
    """Of each new cell, how much the old ones count; middles are at 1/2.

    Args:
        cells: before.
        size: after.

    Returns:
        float32 `(size, cells)`.
    """
    at = np.maximum(_places(cells, size), 0)
    before = np.minimum(np.floor(at).astype(int), cells - 1)
    after = np.minimum(before + 1, cells - 1)
    share = at - before
    weights = np.zeros((size, cells), np.float32)
    rows = np.arange(size)
    np.add.at(weights, (rows, before), 1 - share)
    np.add.at(weights, (rows, after), share)
    return weights


def cubic_weights(cells: int, size: int) -> np.ndarray:
    """As `linear_weights`, of a cubic of four cells; borders are replicated.

    Returns:
        float32 `(size, cells)`.
    """
    at = _places(cells, size)
    before = np.floor(at).astype(int)
    weights = np.zeros((size, cells), np.float32)
    for offset in (-1, 0, 1, 2):
        cell = before + offset
        share = cubic(np.abs(at - cell))
        np.add.at(
            weights, (np.arange(size), np.clip(cell, 0, cells - 1)), share
        )
    return weights


def _places(cells: int, size: int) -> np.ndarray:
    return (np.arange(size) + 0.5) * (cells / size) - 0.5


def cubic(distance: Tensor, where: Callable = np.where) -> Tensor:
    """Keys' kernel up to two cells; `where` is that of the arrays' kind."""
    d, a = distance, CUBIC_A
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return where(d <= 1, near, far)
