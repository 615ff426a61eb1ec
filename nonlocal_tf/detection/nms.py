"""Non-maximum suppression (NMS) by TensorFlow's kernels.

`nms` compiles under XLA; `multiclass_nms` does not.
"""

import tensorflow as tf  # noqa: TID251, keras.ops has no NMS

from nonlocal_tf.typing import Tensor


def nms(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    max_boxes: int,
    score_threshold: float = float("-inf"),
) -> tuple[Tensor, Tensor]:
    """Apply greedy NMS to the boxes of one image.

    Args:
        boxes: `(n, 4)`.
        scores: `(n,)`; the first of equal scores comes first.
        iou_threshold: IoU above which the box of the lower score is removed.
        max_boxes: number of boxes that are kept, at most.
        score_threshold: boxes with a lower score are ignored.

    Returns:
        Indices int32 `(max_boxes,)`, best first, and how many are valid.
    """
    return tf.raw_ops.NonMaxSuppressionV4(
        boxes=boxes,
        scores=scores,
        max_output_size=max_boxes,
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        pad_to_max_output_size=True,
    )


def batched_nms(
    boxes: Tensor, scores: Tensor, iou_threshold: float, max_boxes: int
) -> tuple[Tensor, Tensor]:
    """Apply NMS to each image of a batch.

    Args:
        boxes: `(batch, n, 4)`.
        scores: `(batch, n)`; boxes with a negative score are ignored.
        iou_threshold: as for `nms`.
        max_boxes: boxes of each image that are kept, at most.

    Returns:
        Boxes `(batch, k, 4)` and scores `(batch, k)`, best first,
        k = min(max_boxes, n), padded with zeros.
    """
    max_boxes = min(max_boxes, boxes.shape[1])

    def apply(image: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        boxes, scores = image
        indices, count = nms(boxes, scores, iou_threshold, max_boxes, -0.5)
        is_valid = tf.range(max_boxes) < count
        kept = tf.where(is_valid[:, None], tf.gather(boxes, indices), 0.0)
        return kept, tf.where(is_valid, tf.gather(scores, indices), 0.0)

    specs = (
        tf.TensorSpec((max_boxes, 4), boxes.dtype),
        tf.TensorSpec((max_boxes,), scores.dtype),
    )
    return tf.map_fn(apply, (boxes, scores), fn_output_signature=specs)


def multiclass_nms(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    score_threshold: float,
    max_boxes: int,
) -> dict[str, Tensor]:
    """Apply NMS to each class and keep the best boxes of all classes.

    Args:
        boxes: `(batch, n, classes, 4)`, without the background.
        scores: `(batch, n, classes)`.
        iou_threshold: as for `nms`.
        score_threshold: detections have a higher score.
        max_boxes: boxes of each image that are kept, at most.

    Returns:
        A dict of `boxes` `(batch, max_boxes, 4)`, `labels` int32 from 1 on and
        `scores`, both `(batch, max_boxes)`, best first, padded with zeros, and
        `count` int32 `(batch,)`.
    """
    kept, best, classes, count = tf.image.combined_non_max_suppression(
        boxes,
        scores,
        max_output_size_per_class=max_boxes,
        max_total_size=max_boxes,
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        pad_per_class=False,
        clip_boxes=False,
    )
    is_valid = tf.range(max_boxes) < count[:, None]
    labels = tf.where(is_valid, tf.cast(classes, tf.int32) + 1, 0)
    return {"boxes": kept, "labels": labels, "scores": best, "count": count}
