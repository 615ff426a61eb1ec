"""Random sampling of the anchors and RoIs that a step is trained on."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf  # noqa: TID251, keras.ops has no stateless numbers
from keras import ops

from nonlocal_tf.detection import targets
from nonlocal_tf.detection.config import TargetSamplingConfig
from nonlocal_tf.ops import take_rows
from nonlocal_tf.typing import Tensor

ANCHOR_SALT, ROI_SALT = 0, 1


def sample_anchors(
    labels: Tensor, config: TargetSamplingConfig, seed: Tensor
) -> tuple[Tensor, Tensor]:
    """Sample anchors of each image for the RPN's losses.

    Args:
        labels: `(batch, anchors)`, of `targets.anchor_labels`.
        config: numbers of samples.
        seed: as for `random_uniform`.

    Returns:
        As `sample`.
    """
    return sample(
        labels,
        random_uniform(ops.shape(labels), seed, ANCHOR_SALT),
        min(config.anchors_per_image, labels.shape[-1]),
        config.positive_anchors,
    )


def sample_rois(
    proposals: Tensor,
    scores: Tensor,
    batch: Mapping[str, Tensor],
    config: TargetSamplingConfig,
    seed: Tensor,
) -> dict[str, Tensor]:
    """Sample RoIs from proposals and ground-truth boxes, positive ones first.

    Args:
        proposals: `(batch, proposals, 4)`.
        scores: `(batch, proposals)`; 0 where a row is padding.
        batch: as for `losses.batch_losses`.
        config: thresholds and numbers of samples.
        seed: as for `random_uniform`.

    Returns:
        A dict of `boxes` `(batch, rois, 4)`; `matches`, the index of the
        object of each, and `labels`, its class or 0, both int32
        `(batch, rois)`; `matched_boxes`, that object's box; and `weights`.
    """
    rois = ops.concatenate([proposals, batch["boxes"]], axis=1)
    is_valid = ops.concatenate([scores > 0, batch["labels"] > 0], axis=1)
    labels, matches = targets.roi_labels(rois, is_valid, batch, config)
    indices, weights = sample(
        labels,
        random_uniform(ops.shape(labels), seed, ROI_SALT),
        config.rois_per_image,
        config.positive_rois,
    )
    matches = ops.take_along_axis(matches, indices, axis=1)
    is_positive = (matches >= 0) & (weights > 0)
    matches = ops.maximum(matches, 0)
    classes = ops.take_along_axis(batch["labels"], matches, axis=1)
    return {
        "boxes": take_rows(rois, indices),
        "matched_boxes": take_rows(batch["boxes"], matches),
        "matches": matches,
        "labels": ops.where(is_positive, ops.cast(classes, "int32"), 0),
        "weights": weights,
    }


def sample(
    labels: Tensor, uniform: Tensor, count: int, max_positives: int
) -> tuple[Tensor, Tensor]:
    """Sample boxes at random, positive ones first.

    Negative boxes fill up where there are too few positive ones.

    Args:
        labels: `(..., boxes)`: 1 positive, 0 negative, others ignored.
        uniform: random numbers in [0, 1) of the same shape. If they depend on
            a seed and a step alone, a resumed training samples the same.
        count: number of samples, at most.
        max_positives: number of positive samples, at most.

    Returns:
        Indices int32 `(..., count)` and weights float32 `(..., count)`, 0.0
        where there were too few boxes.
    """
    boxes = labels.shape[-1]
    parts = []
    for label, limit in ((1, max_positives), (0, count)):
        keys = ops.where(labels == label, uniform, -1.0)
        values, indices = ops.top_k(keys, min(limit, boxes))
        # Positive ones sort before negative ones, ignored ones last.
        parts.append((ops.where(values >= 0, values + label, -1.0), indices))
    values, indices = (
        ops.concatenate(part, axis=-1) for part in zip(*parts, strict=True)
    )
    count = min(count, values.shape[-1])
    values, order = ops.top_k(values, count)
    indices = ops.take_along_axis(indices, order, axis=-1)
    return ops.cast(indices, "int32"), ops.cast(values >= 0, "float32")


def random_uniform(
    shape: Sequence[int | Any], seed: Tensor, salt: int
) -> Tensor:
    """Draw numbers in [0, 1) that depend on the seed and the salt alone.

    Args:
        shape: `(batch, n)`.
        seed: two int32 numbers, or two for each image, `(batch, 2)`: then a
            row is the same in every batch.
        salt: an integer, for independent draws with the same seed.
    """

    def draw(seed: Tensor, shape: Sequence[int | Any]) -> Tensor:
        key = tf.random.experimental.stateless_fold_in(seed, salt)
        return tf.random.stateless_uniform(shape, key)

    seed = tf.cast(seed, tf.int32)
    if seed.shape.rank == 1:
        return draw(seed, shape)
    return tf.map_fn(
        lambda row: draw(row, shape[1:]),
        seed,
        fn_output_signature=tf.TensorSpec(shape[1:], tf.float32),
    )
