"""Keypoints as cells of heat maps, and back.

Reference:
    He et al., Mask R-CNN, ICCV 2017, section 5.
"""

import numpy as np
from keras import ops

from nonlocal_tf.detection.resize import cubic_weights
from nonlocal_tf.typing import Tensor

MAP_CELLS = 56  # along each side


def encode(
    keypoints: Tensor, boxes: Tensor, cells: int = MAP_CELLS
) -> tuple[Tensor, Tensor]:
    """The cell of each keypoint in the heat map of its box.

    Args:
        keypoints: x, y and visibility, `(..., keypoints, 3)`.
        boxes: `(..., 4)`.
        cells: along each side of a map.

    Returns:
        int32 `(..., keypoints)`, row * cells + column, and bool of the same
        shape: whether it is labelled and in the box. Cells of others are 0.
    """
    boxes = ops.expand_dims(boxes, -2)
    start, sides = boxes[..., :2], boxes[..., 2:] - boxes[..., :2]
    at = keypoints[..., :2]
    # The right and lower border belong to the last cell.
    is_last = at == boxes[..., 2:]
    scale = cells / ops.where(sides > 0, sides, 1.0)
    cell = ops.cast(ops.floor((at - start) * scale), "int32")
    cell = ops.where(is_last, cells - 1, cell)
    inside = ops.all((cell >= 0) & (cell < cells), axis=-1)
    is_there = inside & (keypoints[..., 2] > 0)
    index = cell[..., 1] * cells + cell[..., 0]
    return ops.where(is_there, index, 0), is_there


def decode(
    maps: np.ndarray, boxes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The strongest pixel of each heat map, resized to its box.

    Args:
        maps: logits `(boxes, cells, cells, keypoints)`.
        boxes: `(boxes, 4)`.

    Returns:
        float32 `(boxes, keypoints, 3)`, x, y and 1, in the boxes' pixels, and
        the logits there, `(boxes, keypoints)`.
    """
    boxes = np.asarray(boxes, np.float32)
    found = np.ones((len(maps), maps.shape[-1], 3), np.float32)
    scores = np.zeros(found.shape[:2], np.float32)
    for number, (heat, box) in enumerate(zip(maps, boxes, strict=True)):
        sides = np.maximum(box[2:] - box[:2], 1)
        width, height = np.ceil(sides).astype(int)
        rows = cubic_weights(heat.shape[0], height)
        columns = cubic_weights(heat.shape[1], width)
        large = np.einsum("ih,hwk,jw->kij", rows, heat, columns, optimize=True)
        best = large.reshape(len(large), -1).argmax(-1)
        at = np.stack([best % width, best // width], axis=-1)
        pixel = sides / np.asarray([width, height], np.float32)
        found[number, :, :2] = (at + np.float32(0.5)) * pixel + box[:2]
        scores[number] = large.reshape(len(large), -1).max(-1)
    return found, scores
