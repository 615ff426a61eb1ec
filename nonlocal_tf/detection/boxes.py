"""Boxes `x1, y1, x2, y2`: areas, IoU, and their encoding as deltas."""

import math
from collections.abc import Sequence

from keras import ops

from nonlocal_tf.typing import Tensor

# Bounds dw and dh before exp, so that a side grows by 1000 / 16 at most.
LARGEST_LOG_RATIO = math.log(1000 / 16)
RPN_WEIGHTS = (1.0, 1.0, 1.0, 1.0)
HEAD_WEIGHTS = (10.0, 10.0, 5.0, 5.0)


def area(boxes: Tensor) -> Tensor:
    """Compute the areas `(...)` of boxes `(..., 4)`."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Compute the intersection over union of all pairs of boxes.

    Args:
        boxes1: `(..., n, 4)`.
        boxes2: `(..., m, 4)`.

    Returns:
        `(..., n, m)`; 0 for two boxes without area.
    """
    shared = intersection(boxes1, boxes2)
    area1, area2 = ops.expand_dims(area(boxes1), -1), area(boxes2)
    return _ratio(shared, area1 + ops.expand_dims(area2, -2) - shared)


def intersection(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Compute the areas that pairs of boxes share, `(..., n, m)`."""
    boxes1, boxes2 = ops.expand_dims(boxes1, -2), ops.expand_dims(boxes2, -3)
    start = ops.maximum(boxes1[..., :2], boxes2[..., :2])
    stop = ops.minimum(boxes1[..., 2:], boxes2[..., 2:])
    sides = ops.maximum(stop - start, 0.0)
    return sides[..., 0] * sides[..., 1]


def overlap_fraction(boxes: Tensor, regions: Tensor) -> Tensor:
    """Compute the share of each box's area that lies in each region.

    Args:
        boxes: `(..., n, 4)`.
        regions: `(..., m, 4)`.

    Returns:
        `(..., n, m)`; 0 for a box without area.
    """
    return _ratio(
        intersection(boxes, regions), ops.expand_dims(area(boxes), -1)
    )


def encode(
    boxes: Tensor, anchors: Tensor, weights: Sequence[float] = RPN_WEIGHTS
) -> Tensor:
    """Encode boxes as deltas to anchors or proposals.

    dx = (x - x_a) / w_a and dw = log(w / w_a), of centers and sides, times the
    weights.

    Args:
        boxes: `(..., 4)`, with positive sides.
        anchors: `(..., 4)`, with positive sides.
        weights: factors of dx, dy, dw and dh.

    Returns:
        `(..., 4)`.

    Reference:
        Girshick et al., Rich feature hierarchies, CVPR 2014, appendix C.
    """
    center, sides = _center_and_sides(boxes)
    center_a, sides_a = _center_and_sides(anchors)
    shift, log_ratio = (center - center_a) / sides_a, ops.log(sides / sides_a)
    deltas = ops.concatenate([shift, log_ratio], axis=-1)
    return deltas * ops.convert_to_tensor(weights, deltas.dtype)


def decode(
    deltas: Tensor, anchors: Tensor, weights: Sequence[float] = RPN_WEIGHTS
) -> Tensor:
    """Decode deltas to boxes, the inverse of `encode`.

    A side grows by a factor of 1000 / 16 at most.

    Args:
        deltas: `(..., 4)`.
        anchors: `(..., 4)`; the shapes broadcast.
        weights: as in `encode`.

    Returns:
        `(..., 4)`.
    """
    deltas = deltas / ops.convert_to_tensor(weights, deltas.dtype)
    center_a, sides_a = _center_and_sides(anchors)
    center = deltas[..., :2] * sides_a + center_a
    logs = ops.minimum(deltas[..., 2:], LARGEST_LOG_RATIO)
    half = 0.5 * ops.exp(logs) * sides_a
    return ops.concatenate([center - half, center + half], axis=-1)


def clip(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Clip boxes to their image.

    Args:
        boxes: `(..., 4)`.
        sizes: height and width, `(..., 2)`; the shapes broadcast.

    Returns:
        `(..., 4)`.
    """
    sizes = ops.cast(sizes, boxes.dtype)
    limits = ops.stack([sizes[..., i] for i in (1, 0, 1, 0)], axis=-1)
    return ops.minimum(ops.maximum(boxes, 0.0), limits)


def has_min_side(boxes: Tensor, min_side: float) -> Tensor:
    """Return True, `(...)`, where both sides are at least `min_side`."""
    return ops.all(boxes[..., 2:] - boxes[..., :2] >= min_side, axis=-1)


def with_positive_sides(boxes: Tensor) -> Tensor:
    """Replace empty sides by 1, so that `encode` of padding is finite."""
    start, stop = boxes[..., :2], boxes[..., 2:]
    stop = ops.where(stop > start, stop, start + 1.0)
    return ops.concatenate([start, stop], axis=-1)


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Divide, with 0 where `whole` is not positive."""
    is_positive = whole > 0
    return ops.where(
        is_positive, part / ops.where(is_positive, whole, 1.0), 0.0
    )


def _center_and_sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    sides = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + 0.5 * sides, sides
