"""The boxes that a region proposal network refines."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from nonlocal_tf.typing import Tensor

# Height and width; None or tensors where a graph does not know them.
Size = tuple[int | Any, int | Any]
SIZES_PX = (32, 64, 128, 256, 512)  # of P2 to P6
ASPECT_RATIOS = (0.5, 1.0, 2.0)  # height to width
STRIDES = (4, 8, 16, 32, 64)


def grid_sizes(image_size: Size) -> list[Size]:
    """Heights and widths of P2 to P6 of a padded image, known or not."""
    height, width = image_size
    return [(-(-height // s), -(-width // s)) for s in STRIDES]


def cell_anchors(
    size_px: float, ratios: Sequence[float] = ASPECT_RATIOS
) -> np.ndarray:
    """Anchors about the origin, `(ratios, 4)`, with whole corners."""
    ratio = np.sqrt(np.asarray(ratios, np.float32))
    sides = np.stack([size_px / ratio, size_px * ratio], axis=-1)
    return np.round(np.concatenate([-sides, sides], -1) / 2).astype("float32")


def pyramid_anchors(
    image_size: tuple[int, int],
    sizes_px: Sequence[float] = SIZES_PX,
    ratios: Sequence[float] = ASPECT_RATIOS,
) -> list[np.ndarray]:
    """Anchors of each level, by row, column and ratio.

    They are as far apart as the padded image's side divided by the map's,
    rounded down: of P6 that is not always 64.

    Args:
        image_size: height and width after padding.
        sizes_px: of each level, the side of a square anchor.
        ratios: of height to width.

    Returns:
        float32 `(height * width * ratios, 4)` each.
    """
    found = []
    for (rows, columns), size_px in zip(
        grid_sizes(image_size), sizes_px, strict=True
    ):
        y = np.arange(rows, dtype=np.float32) * (image_size[0] // rows)
        x = np.arange(columns, dtype=np.float32) * (image_size[1] // columns)
        rows_of, columns_of = np.meshgrid(y, x, indexing="ij")
        corners = np.stack([columns_of, rows_of] * 2, axis=-1)[:, :, None]
        anchors = corners + cell_anchors(size_px, ratios)
        found.append(anchors.reshape(-1, 4))
    return found


def anchors_at(
    places: Tensor,
    image_size: Size,
    grid: Size,
    size_px: float,
    ratios: Sequence[float] = ASPECT_RATIOS,
) -> Tensor:
    """Some anchors of a level; sizes need not be known before a graph runs.

    Args:
        places: int32, in the order of `pyramid_anchors`, any shape.
        image_size: height and width after padding.
        grid: height and width of the level, of `grid_sizes`.
        size_px: side of a square anchor.
        ratios: of height to width.

    Returns:
        float32 `(*places.shape, 4)`.
    """
    cells = places // len(ratios)
    y = cells // grid[1] * (image_size[0] // grid[0])
    x = cells % grid[1] * (image_size[1] // grid[1])
    corners = ops.cast(ops.stack([x, y, x, y], axis=-1), "float32")
    around = ops.convert_to_tensor(cell_anchors(size_px, ratios))
    return corners + ops.take(around, places % len(ratios), axis=0)
