"""ROIAlign: the mean of bilinear samples in each bin of a box.

Bin i of n along one axis, of a box from a to b in cells of the map, has its
samples at a + (i + (k + 1/2) / s) (b - a) / n for k from 0 to s - 1. A sample
more than a cell outside of the map is 0; else it is moved to the border.

Three functions compute the same: `roi_align` gathers samples with static
shapes, so it compiles anywhere; `roi_align_fused` calls TensorFlow's
`crop_and_resize`; `roi_align_dense` is two matrix products, for small maps and
numbers of samples that depend on the box.

Reference:
    He et al., Mask R-CNN, ICCV 2017, section 3.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf  # noqa: TID251, keras.ops has no crop_and_resize
from keras import ops

from nonlocal_tf.ops import take_rows
from nonlocal_tf.typing import Tensor

# (cell, weight) of the cell before and of the cell after a sample.
Neighbours = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]

CANONICAL_LEVEL = 4
CANONICAL_PX = 224.0
FIRST_LEVEL, LAST_LEVEL = 2, 5


def levels(boxes: Tensor) -> Tensor:
    """Assign boxes to levels of the feature pyramid, 2 to 5.

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
    # The lower bound keeps the level of a box without area from being -inf.
    octaves = ops.log2(ops.maximum(side / CANONICAL_PX, 1e-6))
    level = ops.floor(CANONICAL_LEVEL + octaves + 1e-6)
    return ops.cast(ops.clip(level, FIRST_LEVEL, LAST_LEVEL), "int32")


def roi_align(
    maps: Sequence[Tensor],
    boxes: Tensor,
    scales: Sequence[float],
    output_size: int,
    sampling_ratio: int = 2,
    aligned: bool = False,
) -> Tensor:
    """Pool features of boxes, each from its pyramid level, by gathers.

    Args:
        maps: feature maps of P2, P3, ..., or one map for all boxes, each
            `(batch, height, width, channels)`.
        boxes: `(batch, rois, 4)`, in pixels of the image; they get no
            gradient.
        scales: cells a pixel of each map.
        output_size: bins along each side.
        sampling_ratio: samples along each side of a bin.
        aligned: shift boxes by half a cell, so that they are where they seem,
            as detectron2's ROIAlignV2. If not, they are at least a cell wide,
            as in Detectron and torchvision.

    Returns:
        `(batch, rois, output_size, output_size, channels)`, in the maps'
        dtype.
    """
    level = _map_index(maps, boxes)
    boxes = ops.stop_gradient(boxes)
    heights, widths = ([ops.shape(m)[axis] for m in maps] for axis in (1, 2))
    cells = [h * w for h, w in zip(heights, widths, strict=True)]
    channels = maps[0].shape[-1]
    batch = ops.shape(boxes)[0]
    table = ops.concatenate(
        [ops.reshape(m, (batch, -1, channels)) for m in maps], axis=1
    )
    first_cells = [sum(cells[:i]) for i in range(len(maps))]

    def per_box(values: Sequence, dtype: str) -> Tensor:
        return ops.take(ops.convert_to_tensor(values, dtype), level)

    boxes = boxes * ops.expand_dims(per_box(scales, boxes.dtype), -1)
    rows, columns = (
        _samples(
            _start_and_length(boxes, axis, aligned),
            output_size,
            sampling_ratio,
            per_box(sides, "int32"),
        )
        for axis, sides in ((1, heights), (0, widths))
    )
    first = per_box(first_cells, "int32")[:, :, None, None]
    stride = per_box(widths, "int32")[:, :, None, None]
    y = 0.0
    for row, row_weight in rows:
        for column, column_weight in columns:
            # (batch, rois, bins * samples, bins * samples)
            cell = row[..., :, None] * stride + column[..., None, :] + first
            weight = row_weight[..., :, None] * column_weight[..., None, :]
            values = take_rows(table, cell)
            y = y + values * ops.cast(weight[..., None], values.dtype)
    grid = (output_size, sampling_ratio)
    return ops.mean(ops.reshape(y, (batch, -1, *grid, *grid, channels)), (3, 5))


def roi_align_fused(
    maps: Sequence[Tensor],
    boxes: Tensor,
    scales: Sequence[float],
    output_size: int,
    sampling_ratio: int = 2,
    aligned: bool = False,
) -> Tensor:
    """Compute `roi_align` with TensorFlow's `crop_and_resize`.

    The gradient is that of `roi_align`, with sums in float32: TensorFlow's own
    loses sums where several threads of a CPU write to one cell.

    Args and returns: as `roi_align`.
    """
    options = (scales, output_size, sampling_ratio, aligned)

    @tf.custom_gradient
    def value(*maps: Tensor) -> tuple[Tensor, Callable]:
        def gradient(dy: Tensor) -> list[Tensor]:
            in_float32 = [tf.cast(x, tf.float32) for x in maps]
            with tf.GradientTape() as tape:
                tape.watch(in_float32)
                y = roi_align(in_float32, boxes, *options)
            gradients = tape.gradient(
                y, in_float32, output_gradients=tf.cast(dy, tf.float32)
            )
            return [
                tf.cast(dx, x.dtype)
                for dx, x in zip(gradients, maps, strict=True)
            ]

        return _crop_from_levels(maps, boxes, *options), gradient

    return value(*maps)


def roi_align_dense(
    maps: Tensor,
    boxes: Tensor,
    output_size: int,
    max_samples: int,
    aligned: bool = False,
) -> Tensor:
    """Pool features of one box of each map by two matrix products.

    A bin has as many samples along each side as cells, rounded up.

    Args:
        maps: `(rois, height, width, channels)`.
        boxes: `(rois, 4)`, in cells.
        output_size: bins along each side.
        max_samples: samples along each side of a bin, at most.
        aligned: as in `roi_align`.

    Returns:
        `(rois, output_size, output_size, channels)`.
    """
    rows, columns = (
        _bin_weights(
            _start_and_length(boxes, axis, aligned),
            output_size,
            max_samples,
            cells,
        )
        for axis, cells in ((1, maps.shape[1]), (0, maps.shape[2]))
    )
    x = ops.einsum("rih,rhwc->riwc", rows, maps)
    return ops.einsum("rjw,riwc->rijc", columns, x)


def _map_index(maps: Sequence[Tensor], boxes: Tensor) -> Tensor:
    """Index of the map of each box, `(batch, rois)`."""
    if len(maps) == 1:
        return ops.zeros(ops.shape(boxes)[:2], "int32")
    return levels(boxes) - FIRST_LEVEL


def _start_and_length(
    boxes: Tensor, axis: int, aligned: bool
) -> tuple[Tensor, Tensor]:
    """Start and length of boxes along x (0) or y (1)."""
    start, stop = boxes[..., axis], boxes[..., axis + 2]
    if aligned:
        return start - 0.5, stop - start
    return start, ops.maximum(stop - start, 1.0)


def _samples(
    extent: tuple[Tensor, Tensor], bins: int, samples: int, cells: Tensor
) -> Neighbours:
    """Cells before and after each sample, with their weights.

    Args:
        extent: start and length of the boxes, each `(...)`.
        bins: bins along the axis.
        samples: samples of a bin.
        cells: cells of the map along the axis, int32 `(...)`.

    Returns:
        Two pairs of cells int32 and weights, each `(..., bins * samples)`.
    """
    start, length = extent
    i = ops.repeat(ops.arange(bins, dtype=start.dtype), samples)
    k = ops.tile(ops.arange(samples, dtype=start.dtype), (bins,))
    # In the order of torchvision's operator, to round as it does.
    bin_length = ops.expand_dims(length / bins, -1)
    start = ops.expand_dims(start, -1)
    positions = start + i * bin_length + (k + 0.5) * bin_length / samples
    return _neighbours(positions, ops.expand_dims(cells, -1))


def _neighbours(positions: Tensor, cells: Tensor) -> Neighbours:
    """Cells on both sides of positions along an axis, with their weights."""
    last = ops.cast(cells - 1, positions.dtype)
    is_near = (positions >= -1) & (positions <= last + 1)
    weight = ops.cast(is_near, positions.dtype)
    positions = ops.clip(positions, 0.0, last)
    before = ops.floor(positions)
    fraction = positions - before
    before = ops.cast(before, "int32")
    after = ops.minimum(before + 1, cells - 1)
    return (before, (1 - fraction) * weight), (after, fraction * weight)


def _bin_weights(
    extent: tuple[Tensor, Tensor], bins: int, max_samples: int, cells: int
) -> Tensor:
    """Weight of each cell in the mean of each bin, `(rois, bins, cells)`."""
    start, length = (x[:, None, None] for x in extent)
    dtype = start.dtype
    samples = ops.clip(ops.ceil(length / bins), 0.0, float(max_samples))
    divisor = ops.maximum(samples, 1.0)  # an inverted box has no sample
    k = ops.arange(max_samples, dtype=dtype)
    i = ops.arange(bins, dtype=dtype)[:, None]
    steps = (i + (k + 0.5) / divisor) / bins  # (rois, bins, max_samples)
    counts = ops.cast(k < samples, dtype) / divisor
    total = 0.0
    for cell, weight in _neighbours(start + steps * length, cells):
        hot = ops.one_hot(cell, cells, dtype=dtype)
        total = total + ops.sum(hot * (weight * counts)[..., None], axis=2)
    return total


def _crop_from_levels(
    maps: Sequence[Tensor],
    boxes: Tensor,
    scales: Sequence[float],
    output_size: int,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    shape = tf.shape(boxes)
    level = tf.reshape(_map_index(maps, boxes), (-1,))
    image_index = tf.repeat(tf.range(shape[0]), shape[1])
    flat = tf.reshape(boxes, (-1, 4))
    parts, places = [], []
    for number, (x, scale) in enumerate(zip(maps, scales, strict=True)):
        place = tf.where(level == number)[:, 0]
        crops = _crop(
            x,
            tf.gather(flat, place) * scale,
            tf.gather(image_index, place),
            output_size,
            sampling_ratio,
            aligned,
        )
        parts.append(crops)
        places.append(place)
    # Back to the order of the boxes, of which each is on one level.
    y = tf.gather(tf.concat(parts, 0), tf.argsort(tf.concat(places, 0)))
    bins = (output_size, output_size)
    return tf.reshape(y, (shape[0], shape[1], *bins, maps[0].shape[-1]))


def _crop(
    feature_map: Tensor,
    boxes: Tensor,
    image_index: Tensor,
    output_size: int,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """Pool boxes, in cells of one map, `(rois, size, size, channels)`.

    The corners of the crop are the first and the last sample, so that its
    pixels are the samples of ROIAlign. The map gets a border of one replicated
    cell, for samples up to a cell outside; samples beyond are extrapolated by
    0.
    """
    padded = tf.pad(
        tf.cast(feature_map, tf.float32),
        ((0, 0), (1, 1), (1, 1), (0, 0)),
        "SYMMETRIC",
    )
    samples = output_size * sampling_ratio
    sides = tf.cast(tf.shape(padded)[1:3], boxes.dtype)
    corners = []
    for axis in (1, 0):  # y, then x
        start, length = _start_and_length(boxes, axis, aligned)
        # + 1 is the border.
        first = start + 0.5 * length / samples + 1.0
        last = start + (samples - 0.5) * length / samples + 1.0
        last_cell = sides[1 - axis] - 1.0
        corners.append((first / last_cell, last / last_cell))
    (y1, y2), (x1, x2) = corners
    crops = tf.image.crop_and_resize(
        padded,
        tf.stack([y1, x1, y2, x2], axis=-1),
        tf.cast(image_index, tf.int32),
        (samples, samples),
    )
    means = tf.nn.avg_pool2d(crops, sampling_ratio, sampling_ratio, "VALID")
    return tf.cast(means, feature_map.dtype)
