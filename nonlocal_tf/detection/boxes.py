"""Boxes `x1, y1, x2, y2`: their overlap, and their coding as deltas."""

import math
from collections.abc import Sequence

from keras import ops

from nonlocal_tf.typing import Tensor

# Of a side, at the most: exp of more is no box.
LARGEST_LOG_RATIO = math.log(1000 / 16)
RPN_WEIGHTS = (1.0, 1.0, 1.0, 1.0)
HEAD_WEIGHTS = (10.0, 10.0, 5.0, 5.0)


def area(boxes: Tensor) -> Tensor:
    """Areas `(...)` of boxes `(..., 4)`."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Intersection over union of all pairs; 0 of two without area.

    Args:
        boxes1: `(..., n, 4)`.
        boxes2: `(..., m, 4)`.

    Returns:
        `(..., n, m)`.
    """
    shared = intersection(boxes1, boxes2)
    of_1, of_2 = ops.expand_dims(area(boxes1), -1), area(boxes2)
    union = of_1 + ops.expand_dims(of_2, -2) - shared
    there = union > 0
    return ops.where(there, shared / ops.where(there, union, 1.0), 0.0)


def intersection(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Areas that pairs share, `(..., n, m)`."""
    boxes1, boxes2 = ops.expand_dims(boxes1, -2), ops.expand_dims(boxes2, -3)
    first = ops.maximum(boxes1[..., :2], boxes2[..., :2])
    last = ops.minimum(boxes1[..., 2:], boxes2[..., 2:])
    sides = ops.maximum(last - first, 0.0)
    return sides[..., 0] * sides[..., 1]


def share_inside(boxes: Tensor, regions: Tensor) -> Tensor:
    """Share of each box that lies in a region; 0 of a box without area.

    Args:
        boxes: `(..., n, 4)`.
        regions: `(..., m, 4)`.

    Returns:
        `(..., n, m)`.
    """
    of = ops.expand_dims(area(boxes), -1)
    there = of > 0
    shared = intersection(boxes, regions)
    return ops.where(there, shared / ops.where(there, of, 1.0), 0.0)


def encode(
    boxes: Tensor, anchors: Tensor, weights: Sequence[float] = RPN_WEIGHTS
) -> Tensor:
    """Deltas that lead from anchors, or proposals, to boxes.

    dx = (x - x_a) / w_a and dw = log(w / w_a), of middles and sides, times the
    weights.

    Args:
        boxes: `(..., 4)`, with sides above zero.
        anchors: `(..., 4)`, with sides above zero.
        weights: of dx, dy, dw, dh.

    Returns:
        `(..., 4)`.

    Reference:
        Girshick et al., Rich feature hierarchies, CVPR 2014, appendix C.
    """
    middle, sides = _middle_and_sides(boxes)
    middle_a, sides_a = _middle_and_sides(anchors)
    moved, scaled = (middle - middle_a) / sides_a, ops.log(sides / sides_a)
    deltas = ops.concatenate([moved, scaled], axis=-1)
    return deltas * ops.convert_to_tensor(weights, deltas.dtype)


def decode(
    deltas: Tensor, anchors: Tensor, weights: Sequence[float] = RPN_WEIGHTS
) -> Tensor:
    """The boxes that deltas lead to, the inverse of `encode`.

    A side grows by at most 1000 / 16 times.

    Args:
        deltas: `(..., 4)`.
        anchors: `(..., 4)`; the shapes broadcast.
        weights: as in `encode`.

    Returns:
        `(..., 4)`.
    """
    deltas = deltas / ops.convert_to_tensor(weights, deltas.dtype)
    middle_a, sides_a = _middle_and_sides(anchors)
    middle = deltas[..., :2] * sides_a + middle_a
    logs = ops.minimum(deltas[..., 2:], LARGEST_LOG_RATIO)
    half = 0.5 * ops.exp(logs) * sides_a
    return ops.concatenate([middle - half, middle + half], axis=-1)


def clip(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Boxes cut off at the border of their image.

    Args:
        boxes: `(..., 4)`.
        sizes: height and width, `(..., 2)`; the shapes broadcast.

    Returns:
        `(..., 4)`.
    """
    sizes = ops.cast(sizes, boxes.dtype)
    most = ops.stack([sizes[..., i] for i in (1, 0, 1, 0)], axis=-1)
    return ops.minimum(ops.maximum(boxes, 0.0), most)


def has_sides(boxes: Tensor, at_least: float) -> Tensor:
    """Whether both sides of each are as long, `(...)`."""
    return ops.all(boxes[..., 2:] - boxes[..., :2] >= at_least, axis=-1)


def _middle_and_sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    sides = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + 0.5 * sides, sides
