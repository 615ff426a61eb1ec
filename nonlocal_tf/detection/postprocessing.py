"""Detections from the outputs of the heads, in pixels of the image."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from keras import ops

from nonlocal_tf.detection import boxes, keypoints, masks, nms
from nonlocal_tf.detection.config import DetectorConfig
from nonlocal_tf.typing import Tensor


@dataclasses.dataclass(frozen=True)
class Detections:
    """Detections of one image, best first, in its pixels.

    Attributes:
        boxes: float32 `(n, 4)`.
        labels: int32 `(n,)`, from 1 on; 0 is the background.
        scores: float32 `(n,)`.
        masks: bool `(n, height, width)`, or None.
        keypoints: float32 `(n, keypoints, 3)`, x, y and 1, or None.
        keypoint_scores: float32 `(n, keypoints)`, logits, or None.
        classes: class name of each, or None where names are not known.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    masks: np.ndarray | None = None
    keypoints: np.ndarray | None = None
    keypoint_scores: np.ndarray | None = None
    classes: tuple[str, ...] | None = None


def select_detections(
    logits: Tensor,
    deltas: Tensor,
    proposals: tuple[Tensor, Tensor],
    sizes: Tensor,
    config: DetectorConfig,
) -> dict[str, Tensor]:
    """Decode the outputs of the box head and apply NMS to each class.

    Args:
        logits: `(batch, proposals, classes)`.
        deltas: `(batch, proposals, classes, 4)`.
        proposals: boxes `(batch, proposals, 4)` and scores
            `(batch, proposals)`; a score of 0 is padding.
        sizes: heights and widths of the images before padding, `(batch, 2)`.
        config: thresholds.

    Returns:
        A dict of `boxes`, `labels`, `scores` and `count`, as
        `nms.multiclass_nms`.
    """
    is_proposal = ops.expand_dims(proposals[1] > 0, -1)
    scores = ops.where(is_proposal, ops.softmax(logits, -1), 0.0)
    decoded = boxes.decode(
        deltas, ops.expand_dims(proposals[0], 2), boxes.HEAD_WEIGHTS
    )
    decoded = boxes.clip(decoded, sizes[:, None, None])
    is_large = boxes.has_min_side(decoded, config.detection_min_side_px)
    scores = ops.where(is_large, scores, 0.0)
    return nms.multiclass_nms(
        decoded[:, :, 1:],
        scores[:, :, 1:],
        config.iou_threshold,
        config.score_threshold,
        config.detections_per_image,
    )


def select_masks(logits: Tensor, labels: Tensor) -> Tensor:
    """Select the mask of each box's class.

    Args:
        logits: `(batch, boxes, h, w, classes)`.
        labels: `(batch, boxes)`.

    Returns:
        Probabilities `(batch, boxes, h, w)`.
    """
    batch, count, *rest = ops.shape(logits)
    flat = ops.reshape(logits, (batch * count, *rest))
    maps = masks.class_maps(flat, ops.reshape(labels, (-1,)))
    return ops.reshape(ops.sigmoid(maps), (batch, count, *rest[:2]))


def postprocess(
    outputs: Mapping[str, Tensor],
    size: tuple[int, int],
    image_size: tuple[int, int],
) -> Detections:
    """Convert the outputs of a detector for one image to `Detections`.

    Args:
        outputs: outputs of `MaskRCNN` for a batch of one.
        size: height and width of the image as the network received it,
            without padding.
        image_size: height and width of the image itself.
    """
    count = int(outputs["count"][0])
    arrays = {
        name: np.asarray(x)[0][:count]
        for name, x in outputs.items()
        if name != "count"
    }
    image_boxes = rescale_boxes(arrays["boxes"], size, image_size)
    pasted = points = scores = None
    if "masks" in arrays:
        pasted = masks.paste(arrays["masks"], image_boxes, image_size)
        pasted = pasted >= masks.THRESHOLD
    if "heat_maps" in arrays:
        points, scores = (
            np.asarray(x)
            for x in keypoints.decode(arrays["heat_maps"], arrays["boxes"])
        )
        y, x = _scale(size, image_size)
        points = points * np.asarray([x, y, 1.0], np.float32)
    return Detections(
        image_boxes, arrays["labels"], arrays["scores"], pasted, points, scores
    )


def rescale_boxes(
    boxes: Tensor, size: tuple[int, int], image_size: tuple[int, int]
) -> Tensor:
    """Rescale boxes of a resized image to pixels of the image itself.

    Args:
        boxes: `(..., 4)`.
        size: height and width of the resized image.
        image_size: height and width of the image.
    """
    y, x = _scale(size, image_size)
    return boxes * np.asarray([x, y, x, y], np.float32)


def _scale(
    size: tuple[int, int], image_size: tuple[int, int]
) -> tuple[float, float]:
    """Factors of y and x from a resized image to the image itself."""
    return image_size[0] / size[0], image_size[1] / size[1]
