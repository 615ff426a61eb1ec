"""Losses of Mask and Keypoint R-CNN: of a batch, and each on its own.

Shapes are static: objects are padded, samples have weights, and a missing
sample counts 0. Each loss is a sum divided by a denominator of the global
batch, so that the losses of replicas, each with a part of the batch, add up to
those of one device. Everything is computed in float32.

References:
    Ren et al., Faster R-CNN, NeurIPS 2015, section 3.1.
    He et al., Mask R-CNN, ICCV 2017, sections 3.1 and 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from keras import ops

from nonlocal_tf.detection import (
    anchors,
    boxes,
    keypoints,
    masks,
    target_sampling,
    targets,
)
from nonlocal_tf.detection.config import SMOOTH_L1_BETA, TargetSamplingConfig
from nonlocal_tf.ops import take_rows
from nonlocal_tf.typing import Tensor

if TYPE_CHECKING:
    from nonlocal_tf.detection.model import MaskRCNN

# Sum of a number over all replicas.
SumOverReplicas = Callable[[Tensor], Tensor]


def batch_losses(
    model: MaskRCNN,
    batch: Mapping[str, Tensor],
    config: TargetSamplingConfig,
    seed: Tensor,
    sum_over_replicas: SumOverReplicas | None = None,
) -> dict[str, Tensor]:
    """Compute all losses of a batch; training minimizes their sum.

    Args:
        model: the detector.
        batch: `images` and `sizes` as the model takes them; `boxes`
            `(batch, objects, 4)` and `labels` `(batch, objects)`, 0 where a
            row is padding; `crowds` `(batch, regions, 4)`, without area where
            a row is padding; with a mask head `masks`, from 0 to 1,
            `(batch, objects, h, w)`, and `mask_boxes` `(batch, objects, 4)`,
            the part of the image that each mask covers; with a keypoint head
            `keypoints` `(batch, objects, keypoints, 3)`.
        config: thresholds and numbers of samples.
        seed: two int32 numbers that the samples depend on, or two for each
            image, `(batch, 2)`: then the samples of an image are the same on
            any device.
        sum_over_replicas: sums a number over all replicas. Default: there is
            one.

    Returns:
        A dict of scalars: `objectness`, `rpn_boxes`, `classes`, `boxes`, and
        `masks` or `keypoints`.
    """
    total = sum_over_replicas or (lambda x: x)
    maps = model.pyramid(batch["images"])
    outputs = [model.rpn(x) for x in maps]
    losses = _rpn_losses(model, outputs, batch, config, seed, total)
    # The losses of RoIs have no gradient with respect to their coordinates.
    fixed = [tuple(map(ops.stop_gradient, pair)) for pair in outputs]
    proposals, scores = model.proposals(
        fixed,
        batch["images"].shape[1:3],
        batch["sizes"],
        config.pre_nms_top_n,
        config.post_nms_top_n,
    )
    rois = target_sampling.sample_rois(proposals, scores, batch, config, seed)
    losses |= _box_head_losses(model, maps, rois, config, total)
    # Positive RoIs come first.
    positive = {
        name: value[:, : config.positive_rois] for name, value in rois.items()
    }
    positive["weights"] = ops.cast(positive["labels"] > 0, "float32")
    if model.mask_head is not None:
        losses["masks"] = _mask_head_loss(
            model, maps, positive, batch, config, total
        )
    if model.keypoint_head is not None:
        losses["keypoints"] = _keypoint_head_loss(
            model, maps, positive, batch, total
        )
    return losses


def objectness_loss(
    logits: Tensor, labels: Tensor, weights: Tensor, denominator: Tensor
) -> Tensor:
    """Compute the sigmoid cross entropy of the sampled anchors.

    Args:
        logits: `(...)`.
        labels: 1 for an object, 0 for background, `(...)`.
        weights: `(...)`; 0.0 for anchors that were not sampled.
        denominator: number of sampled anchors of the global batch.
    """
    entropy = _binary_cross_entropy(logits, ops.cast(labels, "float32"))
    return ops.sum(entropy * weights) / denominator


def box_loss(
    deltas: Tensor,
    targets: Tensor,
    weights: Tensor,
    denominator: Tensor,
    beta: float = SMOOTH_L1_BETA,
) -> Tensor:
    """Compute the smooth L1 loss of box regression.

    Args:
        deltas: `(..., 4)`.
        targets: `(..., 4)`.
        weights: `(...)`; 1.0 for positive anchors or RoIs.
        denominator: number of sampled anchors or RoIs of the global batch,
            negative ones included.
        beta: difference from which on the loss is linear.
    """
    # Targets of weight 0 need not be finite: they are masked before anything
    # is computed, or the gradients would not be finite.
    has_weight = ops.expand_dims(weights > 0, -1)
    error = _float32(deltas) - ops.where(has_weight, _float32(targets), 0.0)
    error = ops.abs(ops.where(has_weight, error, 0.0))
    quadratic, linear = 0.5 * ops.square(error) / beta, error - 0.5 * beta
    loss = ops.sum(ops.where(error < beta, quadratic, linear), axis=-1)
    return ops.sum(loss * weights) / denominator


def classification_loss(
    logits: Tensor, labels: Tensor, weights: Tensor, denominator: Tensor
) -> Tensor:
    """Compute the softmax cross entropy of the sampled RoIs' classes.

    Args:
        logits: `(..., classes)`.
        labels: `(...)`; 0 is background.
        weights: `(...)`.
        denominator: number of sampled RoIs of the global batch.
    """
    entropy = _cross_entropy(logits, labels)
    return ops.sum(entropy * weights) / denominator


def mask_loss(
    logits: Tensor,
    targets: Tensor,
    labels: Tensor,
    weights: Tensor,
    denominator: Tensor,
) -> Tensor:
    """Compute the sigmoid cross entropy of the mask of the labeled class.

    Args:
        logits: `(rois, height, width, classes)`.
        targets: from 0 to 1, `(rois, height, width)`.
        labels: `(rois,)`.
        weights: `(rois,)`; 1.0 for positive RoIs.
        denominator: number of positive RoIs of the global batch.
    """
    class_logits = masks.class_maps(logits, labels)
    entropy = _binary_cross_entropy(class_logits, _float32(targets))
    return ops.sum(ops.mean(entropy, axis=(1, 2)) * weights) / denominator


def keypoint_loss(
    logits: Tensor, cells: Tensor, weights: Tensor, denominator: Tensor
) -> Tensor:
    """Compute the softmax cross entropy over the cells of each heat map.

    Args:
        logits: `(rois, height, width, keypoints)`.
        cells: target cells, row * width + column, `(rois, keypoints)`.
        weights: `(rois, keypoints)`; 1.0 for annotated keypoints.
        denominator: number of annotated keypoints of the global batch.
    """
    rois, height, width, count = ops.shape(logits)
    flat = ops.reshape(logits, (rois, height * width, count))
    entropy = _cross_entropy(ops.transpose(flat, (0, 2, 1)), cells)
    return ops.sum(entropy * weights) / denominator


def safe_denominator(count: Tensor) -> Tensor:
    """Return `count` in float32, at least 1, so that an empty loss is 0."""
    return ops.maximum(_float32(count), 1.0)


def _rpn_losses(
    model: MaskRCNN,
    outputs: Sequence[Sequence[Tensor]],
    batch: Mapping[str, Tensor],
    config: TargetSamplingConfig,
    seed: Tensor,
    total: SumOverReplicas,
) -> dict[str, Tensor]:
    """Objectness and box loss of the sampled anchors."""
    size = tuple(batch["images"].shape[1:3])
    all_anchors = np.concatenate(
        anchors.pyramid_anchors(
            size, model.config.anchor_sizes_px, model.config.aspect_ratios
        )
    )
    logits, deltas = (
        ops.concatenate(parts, axis=1) for parts in zip(*outputs, strict=True)
    )
    labels, matches = targets.anchor_labels(all_anchors, batch, config)
    indices, weights = target_sampling.sample_anchors(labels, config, seed)
    labels = ops.take_along_axis(labels, indices, axis=1)
    matches = ops.take_along_axis(ops.maximum(matches, 0), indices, axis=1)
    matched = take_rows(batch["boxes"], matches)
    box_targets = boxes.encode(
        boxes.with_positive_sides(matched),
        ops.take(all_anchors, indices, axis=0),
    )
    sampled = safe_denominator(total(ops.sum(weights)))
    return {
        "objectness": objectness_loss(
            ops.take_along_axis(logits, indices, axis=1),
            ops.maximum(labels, 0),
            weights,
            sampled,
        ),
        "rpn_boxes": box_loss(
            take_rows(deltas, indices),
            box_targets,
            weights * ops.cast(labels == targets.POSITIVE, "float32"),
            sampled,
            config.rpn_smooth_l1_beta,
        ),
    }


def _box_head_losses(
    model: MaskRCNN,
    maps: Sequence[Tensor],
    rois: Mapping[str, Tensor],
    config: TargetSamplingConfig,
    total: SumOverReplicas,
) -> dict[str, Tensor]:
    """Classification and box loss of the sampled RoIs."""
    logits, deltas = model.apply_head(model.box_head, maps, rois["boxes"])
    labels, weights = rois["labels"], rois["weights"]
    sampled = safe_denominator(total(ops.sum(weights)))
    index = labels[:, :, None, None]
    class_deltas = ops.squeeze(ops.take_along_axis(deltas, index, axis=2), 2)
    box_targets = boxes.encode(
        boxes.with_positive_sides(rois["matched_boxes"]),
        boxes.with_positive_sides(rois["boxes"]),
        boxes.HEAD_WEIGHTS,
    )
    return {
        "classes": classification_loss(logits, labels, weights, sampled),
        "boxes": box_loss(
            class_deltas,
            box_targets,
            weights * ops.cast(labels > 0, "float32"),
            sampled,
            config.box_smooth_l1_beta,
        ),
    }


def _mask_head_loss(
    model: MaskRCNN,
    maps: Sequence[Tensor],
    rois: Mapping[str, Tensor],
    batch: Mapping[str, Tensor],
    config: TargetSamplingConfig,
    total: SumOverReplicas,
) -> Tensor:
    logits = model.apply_head(model.mask_head, maps, rois["boxes"])
    mask_boxes = take_rows(batch["mask_boxes"], rois["matches"])
    mask_targets = targets.mask_targets(
        _flat(take_rows(batch["masks"], rois["matches"])),
        _flat(boxes.with_positive_sides(mask_boxes)),
        _flat(rois["boxes"]),
        config.mask_sampling_ratio,
    )
    weights = ops.reshape(rois["weights"], (-1,))
    return mask_loss(
        _flat(logits),
        mask_targets,
        ops.reshape(rois["labels"], (-1,)),
        weights,
        safe_denominator(total(ops.sum(weights))),
    )


def _keypoint_head_loss(
    model: MaskRCNN,
    maps: Sequence[Tensor],
    rois: Mapping[str, Tensor],
    batch: Mapping[str, Tensor],
    total: SumOverReplicas,
) -> Tensor:
    logits = model.apply_head(model.keypoint_head, maps, rois["boxes"])
    points = take_rows(batch["keypoints"], rois["matches"])
    cells, is_annotated = keypoints.encode(points, rois["boxes"])
    weights = rois["weights"][..., None] * ops.cast(is_annotated, "float32")
    return keypoint_loss(
        _flat(logits),
        _flat(cells),
        _flat(weights),
        safe_denominator(total(ops.sum(weights))),
    )


def _flat(x: Tensor) -> Tensor:
    """Reshape `(batch, rois, ...)` to `(batch * rois, ...)`."""
    return ops.reshape(x, (-1, *ops.shape(x)[2:]))


def _float32(x: Tensor) -> Tensor:
    return ops.cast(x, "float32")


def _binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    logits = _float32(logits)
    # Stable for logits of any size.
    softplus = ops.log1p(ops.exp(-ops.abs(logits)))
    return ops.maximum(logits, 0.0) - logits * targets + softplus


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    logs = ops.log_softmax(_float32(logits), axis=-1)
    index = ops.expand_dims(ops.cast(labels, "int32"), -1)
    return -ops.squeeze(ops.take_along_axis(logs, index, axis=-1), -1)
