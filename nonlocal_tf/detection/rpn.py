"""Region proposal network (RPN): its head, and proposals from its outputs.

Reference:
    Ren et al., Faster R-CNN, NeurIPS 2015, section 3.
"""

from collections.abc import Iterable, Sequence

import keras
import numpy as np
from keras import initializers, layers, ops

from nonlocal_tf.detection import anchors, boxes, nms
from nonlocal_tf.detection.config import DetectorConfig
from nonlocal_tf.ops import take_rows
from nonlocal_tf.typing import Tensor

PADDING_LOGIT = -np.inf  # of no anchor
FLOAT32 = {"dtype": "float32"}  # of logits and deltas under every policy


def build_rpn(config: DetectorConfig) -> keras.Model:
    """Build the head that predicts objectness and deltas of all anchors.

    Returns:
        A model of a pyramid level `(batch, h, w, channels)` to logits
        `(batch, h * w * a)` and deltas `(batch, h * w * a, 4)` of its anchors,
        in the order of `anchors.pyramid_anchors`.
    """
    ratios = len(config.aspect_ratios)
    initializer = initializers.RandomNormal(0.0, 0.01)
    x = inputs = keras.Input((None, None, config.fpn_channels), name="map")
    x = layers.Conv2D(
        config.fpn_channels,
        3,
        padding="same",
        activation="relu",
        kernel_initializer=initializer,
        name="rpn_conv",
    )(x)
    logits, deltas = (
        layers.Conv2D(
            channels,
            1,
            kernel_initializer=initializer,
            name=f"rpn_{name}",
            **FLOAT32,
        )(x)
        for name, channels in (("logits", ratios), ("deltas", 4 * ratios))
    )
    logits = layers.Reshape((-1,), **FLOAT32)(logits)
    deltas = layers.Reshape((-1, 4), **FLOAT32)(deltas)
    return keras.Model(inputs, [logits, deltas], name="rpn")


def select_proposals(
    outputs: Iterable[Sequence[Tensor]],
    image_size: anchors.Size,
    sizes: Tensor,
    config: DetectorConfig,
    pre_nms_top_n: int,
    post_nms_top_n: int,
) -> tuple[Tensor, Tensor]:
    """Decode the best anchors of each level and apply NMS.

    Args:
        outputs: logits and deltas of each level.
        image_size: height and width of the padded images.
        sizes: heights and widths before padding, `(batch, 2)`.
        config: anchors and thresholds.
        pre_nms_top_n: anchors of each level that are kept before NMS.
        post_nms_top_n: proposals of each image that are kept after NMS.

    Returns:
        Boxes `(batch, proposals, 4)` and scores `(batch, proposals)`, best
        first, padded with zeros.
    """
    grids = anchors.grid_sizes(image_size)
    level_boxes, level_scores = [], []
    for grid, size_px, (logits, deltas) in zip(
        grids, config.anchor_sizes_px, outputs, strict=True
    ):
        logits, indices = _top_logits(logits, pre_nms_top_n)
        level_anchors = anchors.anchors_at(
            indices, image_size, grid, size_px, config.aspect_ratios
        )
        decoded = boxes.decode(take_rows(deltas, indices), level_anchors)
        decoded = boxes.clip(decoded, ops.expand_dims(sizes, 1))
        is_valid = boxes.has_min_side(decoded, config.proposal_min_side_px)
        is_valid = is_valid & (logits > PADDING_LOGIT)
        kept, scores = nms.batched_nms(
            decoded,
            ops.where(is_valid, ops.sigmoid(logits), -1.0),
            config.proposal_iou_threshold,
            post_nms_top_n,
        )
        level_boxes.append(kept)
        level_scores.append(scores)
    proposals = ops.concatenate(level_boxes, 1)
    scores = ops.concatenate(level_scores, 1)
    count = min(post_nms_top_n, proposals.shape[1])
    scores, indices = ops.top_k(scores, count)
    return take_rows(proposals, indices), scores


def _top_logits(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the largest logits of each image and their indices.

    Args:
        logits: `(batch, n)`; n may be unknown until a graph runs.
        count: number of logits, at most.

    Returns:
        `(batch, k)` each, k = min(count, n) if n is known, else `count`,
        padded with `PADDING_LOGIT`.
    """
    if logits.shape[1] is not None:
        return ops.top_k(logits, min(count, logits.shape[1]))
    last = ops.shape(logits)[1] - 1
    padded = ops.pad(
        logits, ((0, 0), (0, count)), constant_values=PADDING_LOGIT
    )
    top, indices = ops.top_k(padded, count)
    return top, ops.minimum(indices, last)
