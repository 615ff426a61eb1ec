"""Training targets: labels of anchors and RoIs, and targets of masks.

Those of boxes are `boxes.encode`, those of keypoints `keypoints.encode`.

References:
    Ren et al., Faster R-CNN, NeurIPS 2015, section 3.1.
    He et al., Mask R-CNN, ICCV 2017, section 3.1.
"""

from collections.abc import Mapping

from keras import ops

from nonlocal_tf.detection import boxes, heads, matching, roi_align
from nonlocal_tf.detection.config import TargetSamplingConfig
from nonlocal_tf.typing import Tensor

MASK_TARGET_CELLS = 2 * heads.MASK_CELLS
POSITIVE, NEGATIVE, IGNORED = 1, 0, -1


def anchor_labels(
    anchors: Tensor, batch: Mapping[str, Tensor], config: TargetSamplingConfig
) -> tuple[Tensor, Tensor]:
    """Label the anchors of each image and match them to objects.

    Args:
        anchors: `(anchors, 4)`.
        batch: as for `losses.batch_losses`.
        config: thresholds.

    Returns:
        Labels `(batch, anchors)`, 1 for an object, 0 for background, -1 if
        ignored, and matches of the same shape, as of `matching.match`.
    """
    low, high = config.anchor_iou_thresholds
    matches = matching.match(
        boxes.iou(batch["boxes"], anchors),
        low,
        high,
        allow_low_quality=True,
        is_object=batch["labels"] > 0,
    )
    is_background = matches == matching.BELOW
    labels = ops.where(is_background, NEGATIVE, IGNORED)
    labels = ops.where(matches >= 0, POSITIVE, labels)
    if not config.straddling_anchors:
        is_inside = _is_inside(anchors, batch["sizes"])
        labels = ops.where(is_inside, labels, IGNORED)
    return _ignore_crowds(labels, anchors, batch, config), matches


def roi_labels(
    rois: Tensor,
    is_valid: Tensor,
    batch: Mapping[str, Tensor],
    config: TargetSamplingConfig,
) -> tuple[Tensor, Tensor]:
    """Label the RoIs of each image and match them to objects.

    Args:
        rois: `(batch, rois, 4)`.
        is_valid: bool `(batch, rois)`, False where a row is padding.
        batch: as for `losses.batch_losses`.
        config: thresholds.

    Returns:
        As `anchor_labels`.
    """
    threshold = config.roi_iou_threshold
    matches = matching.match(
        boxes.iou(batch["boxes"], rois),
        threshold,
        threshold,
        is_object=batch["labels"] > 0,
    )
    labels = ops.where(is_valid, ops.cast(matches >= 0, "int32"), IGNORED)
    return _ignore_crowds(labels, rois, batch, config), matches


def mask_targets(
    masks: Tensor, mask_boxes: Tensor, rois: Tensor, max_samples: int
) -> Tensor:
    """Resample ground-truth masks to the grids of RoIs.

    Args:
        masks: mask of the object of each RoI, `(rois, h, w)`.
        mask_boxes: the part of the image that each mask covers, `(rois, 4)`.
        rois: `(rois, 4)`.
        max_samples: samples along each side of a cell of the target, at most.

    Returns:
        `(rois, 28, 28)`, from 0 to 1.
    """
    origin = ops.tile(mask_boxes[:, :2], (1, 2))
    sides = ops.tile(mask_boxes[:, 2:] - mask_boxes[:, :2], (1, 2))
    height, width = ops.shape(masks)[1:]
    scale = ops.convert_to_tensor([width, height] * 2, "float32") / sides
    # In cells of the mask. This ROIAlign has the value of pixel i at i, so a
    # cell's value is at the center of its pixels.
    within = (rois - origin + 0.5) * scale - 0.5
    return roi_align.roi_align_dense(
        masks[..., None], within, MASK_TARGET_CELLS, max_samples
    )[..., 0]


def _ignore_crowds(
    labels: Tensor,
    proposals: Tensor,
    batch: Mapping[str, Tensor],
    config: TargetSamplingConfig,
) -> Tensor:
    """Ignore negative boxes that lie in a crowd region."""
    overlap = boxes.overlap_fraction(proposals, batch["crowds"])
    if overlap.shape[-1] == 0:
        return labels
    is_in_crowd = ops.max(overlap, axis=-1) > config.crowd_overlap_threshold
    # The box of an object stays positive, whatever surrounds it.
    return ops.where(is_in_crowd & (labels != POSITIVE), IGNORED, labels)


def _is_inside(anchors: Tensor, sizes: Tensor) -> Tensor:
    """Return True, `(batch, anchors)`, for anchors inside of the image."""
    sizes = ops.cast(sizes, "float32")
    height, width = sizes[:, :1], sizes[:, 1:]
    x1, y1, x2, y2 = (anchors[:, axis] for axis in range(4))
    return (x1 >= 0) & (y1 >= 0) & (x2 <= width) & (y2 <= height)
