"""Anchors: the boxes that a region proposal network refines."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from nonlocal_tf.typing import Tensor

# Height and width; tensors where a graph does not know them.
Size = tuple[int | Any, int | Any]
SIZES_PX = (32, 64, 128, 256, 512)  # of P2 to P6
ASPECT_RATIOS = (0.5, 1.0, 2.0)  # height to width
STRIDES = (4, 8, 16, 32, 64)


def grid_sizes(image_size: Size) -> list[Size]:
    """Return the heights and widths of P2 to P6 of a padded image."""
    height, width = image_size
    return [(-(-height // s), -(-width // s)) for s in STRIDES]


def cell_anchors(
    size_px: float, ratios: Sequence[float] = ASPECT_RATIOS
) -> np.ndarray:
    """Anchors around the origin, `(ratios, 4)`, with integer corners."""
    ratio = np.sqrt(np.asarray(ratios, np.float32))
    sides = np.stack([size_px / ratio, size_px * ratio], axis=-1)
    return np.round(np.concatenate([-sides, sides], -1) / 2).astype("float32")


def pyramid_anchors(
    image_size: tuple[int, int],
    sizes_px: Sequence[float] = SIZES_PX,
    ratios: Sequence[float] = ASPECT_RATIOS,
) -> list[np.ndarray]:
    """Anchors of each pyramid level, ordered by row, column and ratio.

    Their distance is the side of the padded image divided by that of the
    feature map, rounded down: not always 64 for P6.

    Args:
        image_size: height and width after padding.
        sizes_px: side of a square anchor of each level.
        ratios: height to width.

    Returns:
        A list of float32 arrays `(height * width * ratios, 4)`.
    """
    levels = []
    for (rows, columns), size_px in zip(
        grid_sizes(image_size), sizes_px, strict=True
    ):
        y = np.arange(rows, dtype=np.float32) * (image_size[0] // rows)
        x = np.arange(columns, dtype=np.float32) * (image_size[1] // columns)
        cell_y, cell_x = np.meshgrid(y, x, indexing="ij")
        centers = np.stack([cell_x, cell_y] * 2, axis=-1)[:, :, None]
        anchors = centers + cell_anchors(size_px, ratios)
        levels.append(anchors.reshape(-1, 4))
    return levels


def anchors_at(
    indices: Tensor,
    image_size: Size,
    grid: Size,
    size_px: float,
    ratios: Sequence[float] = ASPECT_RATIOS,
) -> Tensor:
    """Anchors of a pyramid level by index, for images of dynamic size.

    Args:
        indices: int32 of any shape, in the order of `pyramid_anchors`.
        image_size: height and width after padding.
        grid: height and width of the level, of `grid_sizes`.
        size_px: side of a square anchor.
        ratios: height to width.

    Returns:
        float32 `(*indices.shape, 4)`.
    """
    cells = indices // len(ratios)
    y = cells // grid[1] * (image_size[0] // grid[0])
    x = cells % grid[1] * (image_size[1] // grid[1])
    centers = ops.cast(ops.stack([x, y, x, y], axis=-1), "float32")
    shapes = ops.convert_to_tensor(cell_anchors(size_px, ratios))
    return centers + ops.take(shapes, indices % len(ratios), axis=0)
