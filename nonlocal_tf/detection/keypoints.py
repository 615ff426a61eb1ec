"""Encoding of keypoints as cells of heat maps, and decoding of heat maps.

Reference:
    He et al., Mask R-CNN, ICCV 2017, section 5.
"""

import tensorflow as tf  # noqa: TID251, sizes known when a graph runs
from keras import ops

from nonlocal_tf.typing import Tensor

MAP_CELLS = 56  # along each side
CUBIC_A = -0.75  # of OpenCV and PyTorch; `keras.ops.image.resize` has -0.5


def encode(
    keypoints: Tensor, boxes: Tensor, cells: int = MAP_CELLS
) -> tuple[Tensor, Tensor]:
    """Encode keypoints as cells of the heat maps of their boxes.

    Args:
        keypoints: x, y and visibility, `(..., keypoints, 3)`.
        boxes: `(..., 4)`.
        cells: cells along each side of a heat map.

    Returns:
        int32 `(..., keypoints)`, row * cells + column, and bool of the same
        shape, True for annotated keypoints in their box. The cell of the
        others is 0.
    """
    boxes = ops.expand_dims(boxes, -2)
    start, sides = boxes[..., :2], boxes[..., 2:] - boxes[..., :2]
    positions = keypoints[..., :2]
    # The right and lower border belong to the last cell.
    is_last = positions == boxes[..., 2:]
    scale = cells / ops.where(sides > 0, sides, 1.0)
    cell = ops.cast(ops.floor((positions - start) * scale), "int32")
    cell = ops.where(is_last, cells - 1, cell)
    inside = ops.all((cell >= 0) & (cell < cells), axis=-1)
    is_valid = inside & (keypoints[..., 2] > 0)
    index = cell[..., 1] * cells + cell[..., 0]
    return ops.where(is_valid, index, 0), is_valid


def decode(heat_maps: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Decode heat maps, resized to their boxes, to their strongest pixels.

    Args:
        heat_maps: logits `(boxes, cells, cells, keypoints)`.
        boxes: `(boxes, 4)`.

    Returns:
        float32 `(boxes, keypoints, 3)`, x, y and 1, in the boxes' pixels, and
        the logits there, `(boxes, keypoints)`.
    """
    heat_maps = tf.cast(heat_maps, tf.float32)
    boxes = tf.cast(boxes, tf.float32)
    _, rows, columns, keypoints = heat_maps.shape

    def decode_box(inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        heat_map, box = inputs
        sides = tf.maximum(box[2:] - box[:2], 1.0)
        width, height = tf.unstack(tf.cast(tf.math.ceil(sides), tf.int32))
        resized = tf.einsum(
            "ih,hwk,jw->kij",
            cubic_weights(rows, height),
            heat_map,
            cubic_weights(columns, width),
        )
        flat = tf.reshape(resized, (keypoints, -1))
        best = tf.argmax(flat, -1, tf.int32)
        pixels = tf.stack([best % width, best // width], -1)
        pixel_size = sides / tf.cast(tf.stack([width, height]), tf.float32)
        points = (tf.cast(pixels, tf.float32) + 0.5) * pixel_size + box[:2]
        ones = tf.ones_like(points[:, :1])
        return tf.concat([points, ones], -1), tf.reduce_max(flat, -1)

    specs = (
        tf.TensorSpec((keypoints, 3), tf.float32),
        tf.TensorSpec((keypoints,), tf.float32),
    )
    return tf.map_fn(decode_box, (heat_maps, boxes), fn_output_signature=specs)


def cubic_weights(cells: int, size: Tensor) -> Tensor:
    """Weights of bicubic resizing along one axis, as in OpenCV and PyTorch.

    Args:
        cells: cells before resizing.
        size: int32, pixels after it.

    Returns:
        float32 `(size, cells)`.
    """
    size = tf.cast(size, tf.float64)
    positions = (tf.range(size) + 0.5) * (cells / size) - 0.5
    before = tf.math.floor(positions)
    weights = 0.0
    for offset in (-1.0, 0.0, 1.0, 2.0):
        cell = tf.clip_by_value(before + offset, 0.0, cells - 1.0)
        kernel = _cubic_kernel(tf.abs(positions - before - offset))
        hot = tf.one_hot(tf.cast(cell, tf.int32), cells, dtype=tf.float64)
        weights = weights + hot * kernel[:, None]
    return tf.cast(weights, tf.float32)


def _cubic_kernel(distance: Tensor) -> Tensor:
    """Keys' cubic convolution kernel, for distances up to two cells."""
    d, a = distance, CUBIC_A
    inner = ((a + 2) * d - (a + 3)) * d * d + 1
    outer = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return tf.where(d <= 1, inner, outer)
