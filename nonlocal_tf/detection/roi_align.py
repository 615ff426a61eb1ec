"""ROIAlign: the mean of bilinear samples in each bin of a box.

Bin i of n along one axis, of a box from a to b in cells of the map, has its
samples at a + (i + (k + 1/2) / s) (b - a) / n for k from 0 to s - 1. A sample
more than a cell outside of the map is 0; else it is moved to the border.

Three forms give the same: `roi_align` gathers samples and has static shapes,
so it compiles anywhere; `tf_ops.roi_align` has TensorFlow's fused kernel;
`roi_align_dense` is products of matrices, for small maps and numbers of
samples that depend on the box.

Reference:
    He et al., Mask R-CNN, ICCV 2017, section 3.
"""

from collections.abc import Sequence

from keras import ops

from nonlocal_tf.detection import gather
from nonlocal_tf.typing import Tensor

# (cell, weight) of the cell before and of that behind a sample.
Neighbours = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]

CANONICAL_LEVEL = 4
CANONICAL_PX = 224.0
FIRST_LEVEL, LAST_LEVEL = 2, 5


def levels(boxes: Tensor) -> Tensor:
    """The level of the pyramid that each box is read from, 2 to 5.

    Args:
        boxes: `(..., 4)`.

    Returns:
        int32 `(...)`: 4 for boxes of 224 x 224 up to twice the side, one less
        for each half of it.

    Reference:
        Lin et al., Feature Pyramid Networks, CVPR 2017, equation 1.
    """
    sides = boxes[..., 2:] - boxes[..., :2]
    side = ops.sqrt(sides[..., 0] * sides[..., 1])
    # The least power keeps the level of a box without area from being -inf.
    octaves = ops.log2(ops.maximum(side / CANONICAL_PX, 1e-6))
    level = ops.floor(CANONICAL_LEVEL + octaves + 1e-6)
    return ops.cast(ops.clip(level, FIRST_LEVEL, LAST_LEVEL), "int32")


def roi_align(
    maps: Sequence[Tensor],
    boxes: Tensor,
    scales: Sequence[float],
    size: int | tuple[int, int],
    samples: int = 2,
    aligned: bool = False,
    level: Tensor | None = None,
) -> Tensor:
    """Features of boxes, of the level that fits each, with static shapes.

    Args:
        maps: a feature map a level, each `(batch, height, width, channels)`.
        boxes: `(batch, rois, 4)`, in pixels of the image; they get no
            gradient.
        scales: of each map, cells a pixel.
        size: bins along each side, or (height, width).
        samples: along each side of a bin.
        aligned: whether cell 0 is from -1/2 to 1/2, so that boxes are where
            they seem; if not they are at least a cell wide, as in Detectron.
        level: number of the map for each box, int32 `(batch, rois)`. By
            default that of `levels`, for maps from P2 on.

    Returns:
        `(batch, rois, height, width, channels)`, in the maps' dtype.
    """
    if level is None:
        level = levels(boxes) - FIRST_LEVEL if len(maps) > 1 else 0
    level = level + ops.zeros(ops.shape(boxes)[:2], "int32")
    boxes = ops.stop_gradient(boxes)
    heights, widths = ([ops.shape(m)[axis] for m in maps] for axis in (1, 2))
    cells = [h * w for h, w in zip(heights, widths, strict=True)]
    channels = maps[0].shape[-1]
    batch = ops.shape(boxes)[0]
    table = ops.concatenate(
        [ops.reshape(m, (batch, -1, channels)) for m in maps], axis=1
    )
    first = [sum(cells[:i]) for i in range(len(maps))]

    def of_level(values: Sequence, dtype: str) -> Tensor:
        return ops.take(ops.convert_to_tensor(values, dtype), level)

    ends = boxes * ops.expand_dims(of_level(scales, boxes.dtype), -1)
    height, width = _pair(size)
    rows = _samples(
        _ends(ends, 1, aligned), height, samples, of_level(heights, "int32")
    )
    columns = _samples(
        _ends(ends, 0, aligned), width, samples, of_level(widths, "int32")
    )
    corner = of_level(first, "int32")[:, :, None, None]
    stride = of_level(widths, "int32")[:, :, None, None]
    y = 0.0
    for row, of_row in rows:
        for column, of_column in columns:
            # (batch, rois, height * samples, width * samples)
            cell = row[..., :, None] * stride + column[..., None, :] + corner
            weight = of_row[..., :, None] * of_column[..., None, :]
            found = gather.rows(table, cell)
            y = y + found * ops.cast(weight[..., None], found.dtype)
    y = ops.reshape(y, (batch, -1, height, samples, width, samples, channels))
    return ops.mean(y, axis=(3, 5))


def roi_align_dense(
    maps: Tensor,
    boxes: Tensor,
    size: int | tuple[int, int],
    most: int,
    samples: int | None = None,
    aligned: bool = False,
) -> Tensor:
    """Features of one box for each map, as two products of matrices.

    Args:
        maps: `(rois, height, width, channels)`.
        boxes: `(rois, 4)`, in cells.
        size: bins along each side, or (height, width).
        most: samples along each side of a bin, at the most.
        samples: how many there are; by default as many as a bin has cells,
            rounded up, up to `most`.
        aligned: as in `roi_align`.

    Returns:
        `(rois, height, width, channels)`.
    """
    height, width = _pair(size)
    of_rows, of_columns = (
        _bin_weights(
            _ends(boxes, axis, aligned), bins, most, samples, maps.shape[at]
        )
        for axis, bins, at in ((1, height, 1), (0, width, 2))
    )
    x = ops.einsum("rih,rhwc->riwc", of_rows, maps)
    return ops.einsum("rjw,riwc->rijc", of_columns, x)


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


def _ends(boxes: Tensor, axis: int, aligned: bool) -> tuple[Tensor, Tensor]:
    """Where boxes begin, and how long they are, along x (0) or y (1)."""
    start, end = boxes[..., axis], boxes[..., axis + 2]
    if aligned:
        return start - 0.5, end - start
    return start, ops.maximum(end - start, 1.0)


def _samples(
    ends: tuple[Tensor, Tensor], bins: int, samples: int, cells: Tensor
) -> Neighbours:
    """The cell before and behind each sample, and their weights.

    Args:
        ends: where the boxes start and how long they are, each `(...)`.
        bins: along the axis.
        samples: a bin.
        cells: int32, of the map along the axis, `(...)`.

    Returns:
        Two pairs of cells int32 and weights, each `(..., bins * samples)`.
    """
    start, length = ends
    i = ops.repeat(ops.arange(bins, dtype=start.dtype), samples)
    k = ops.tile(ops.arange(samples, dtype=start.dtype), (bins,))
    # In the order of the reference, whose rounding is compared with.
    one = ops.expand_dims(length / bins, -1)
    at = ops.expand_dims(start, -1) + i * one + (k + 0.5) * one / samples
    return _neighbours(at, ops.expand_dims(cells, -1))


def _neighbours(at: Tensor, cells: Tensor) -> Neighbours:
    """The cells beside places along an axis, and their weights."""
    last = ops.cast(cells - 1, at.dtype)
    is_seen = ops.cast((at >= -1) & (at <= last + 1), at.dtype)
    at = ops.clip(at, 0.0, last)
    before = ops.floor(at)
    behind = at - before
    before = ops.cast(before, "int32")
    after = ops.minimum(before + 1, cells - 1)
    return (before, (1 - behind) * is_seen), (after, behind * is_seen)


def _bin_weights(
    ends: tuple[Tensor, Tensor],
    bins: int,
    most: int,
    samples: int | None,
    cells: Tensor,
) -> Tensor:
    """How much each cell counts in each bin, `(rois, bins, cells)`."""
    start, length = ends
    dtype = start.dtype
    if samples is None:
        many = ops.clip(ops.ceil(length / bins), 0.0, float(most))
    else:
        many = ops.zeros_like(length) + float(samples)
    many = many[:, None, None]
    one = ops.maximum(many, 1.0)  # a box that is inside out has no sample
    k = ops.arange(most, dtype=dtype)
    i = ops.arange(bins, dtype=dtype)[:, None]
    steps = (i + (k + 0.5) / one) / bins  # (rois, bins, most)
    at = start[:, None, None] + steps * length[:, None, None]
    counts = ops.cast(k < many, dtype) / one
    total = 0.0
    for cell, weight in _neighbours(at, cells):
        hot = ops.one_hot(cell, cells, dtype=dtype)
        total = total + ops.sum(hot * (weight * counts)[..., None], axis=2)
    return total
