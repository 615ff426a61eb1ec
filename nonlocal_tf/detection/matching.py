"""Matching of anchors and proposals to ground-truth objects by IoU."""

from keras import ops

from nonlocal_tf.typing import Tensor

BELOW, BETWEEN = -1, -2  # background, and ignored


def match(
    iou: Tensor,
    low: float,
    high: float,
    allow_low_quality: bool = False,
    is_object: Tensor | None = None,
) -> Tensor:
    """Match each box to the object that it overlaps most.

    Args:
        iou: `(..., objects, boxes)`.
        low: a box with less is background.
        high: a box with as much matches its object.
        allow_low_quality: also match the boxes with the largest IoU of an
            object, ties included, if it is above 0. Each of them matches the
            object that it overlaps most itself.
        is_object: bool `(..., objects)`, False where a row is padding.

    Returns:
        int32 `(..., boxes)`: the index of an object, `BELOW` the low threshold
        or `BETWEEN` both.
    """
    if iou.shape[-2] == 0:
        zeros = ops.zeros_like(ops.sum(iou, axis=-2), dtype="int32")
        return zeros + BELOW
    if is_object is not None:
        iou = ops.where(ops.expand_dims(is_object, -1), iou, -1.0)
    best = ops.max(iou, axis=-2)
    unmatched = ops.where(best >= low, BETWEEN, BELOW)
    is_match = best >= high
    if allow_low_quality:
        most = ops.max(iou, axis=-1, keepdims=True)
        is_best = (iou == most) & (most > 0)
        is_match = is_match | ops.any(is_best, axis=-2)
    matches = ops.where(is_match, ops.argmax(iou, axis=-2), unmatched)
    return ops.cast(matches, "int32")
