"""The losses of Mask R-CNN, as sums over denominators that the caller gives.

With those of the global batch, replicas that each see a part of it add up to
one device that sees all. Everything is computed in float32.
"""

from keras import ops

from nonlocal_tf.typing import Tensor

BETA = 1 / 9  # of both box losses, as in torchvision


def objectness(
    logits: Tensor, labels: Tensor, weights: Tensor, denominator: Tensor
) -> Tensor:
    """Of anchors: are they objects? A sigmoid cross entropy.

    Args:
        logits: `(...)`.
        labels: 1 or 0, `(...)`.
        weights: `(...)`; 0.0 of what is not trained on.
        denominator: sampled anchors of the global batch.
    """
    entropy = _binary_cross_entropy(logits, ops.cast(labels, "float32"))
    return ops.sum(entropy * weights) / denominator


def boxes(
    deltas: Tensor,
    targets: Tensor,
    weights: Tensor,
    denominator: Tensor,
    beta: float = BETA,
) -> Tensor:
    """How far deltas are from their targets: a smooth L1.

    Args:
        deltas: `(..., 4)`.
        targets: `(..., 4)`.
        weights: `(...)`; 1.0 of positive ones.
        denominator: sampled anchors or boxes of the global batch, negative
            ones too.
        beta: from which difference on the loss is linear.
    """
    # Targets of what is not trained on need not be finite: they are left out
    # before anything is computed, or the gradients would not be.
    is_used = ops.expand_dims(weights > 0, -1)
    far = _float32(deltas) - ops.where(is_used, _float32(targets), 0.0)
    far = ops.abs(ops.where(is_used, far, 0.0))
    near = 0.5 * ops.square(far) / beta
    loss = ops.sum(ops.where(far < beta, near, far - 0.5 * beta), axis=-1)
    return ops.sum(loss * weights) / denominator


def classes(
    logits: Tensor, labels: Tensor, weights: Tensor, denominator: Tensor
) -> Tensor:
    """Of boxes: which class? A softmax cross entropy; 0 is background.

    Args:
        logits: `(..., classes)`.
        labels: `(...)`.
        weights: `(...)`.
        denominator: sampled boxes of the global batch.
    """
    entropy = _cross_entropy(logits, labels)
    return ops.sum(entropy * weights) / denominator


def masks(
    logits: Tensor,
    targets: Tensor,
    labels: Tensor,
    weights: Tensor,
    denominator: Tensor,
) -> Tensor:
    """A sigmoid cross entropy of the labelled class's mask alone.

    Args:
        logits: `(rois, height, width, classes)`.
        targets: from 0 to 1, `(rois, height, width)`.
        labels: `(rois,)`.
        weights: `(rois,)`; 1.0 of positive ones.
        denominator: positive boxes of the global batch.
    """
    chosen = of_class(logits, labels)
    entropy = _binary_cross_entropy(chosen, _float32(targets))
    return ops.sum(ops.mean(entropy, axis=(1, 2)) * weights) / denominator


def keypoints(
    logits: Tensor, cells: Tensor, weights: Tensor, denominator: Tensor
) -> Tensor:
    """A softmax over the cells of each keypoint's map.

    Args:
        logits: `(rois, height, width, keypoints)`.
        cells: row * width + column, `(rois, keypoints)`.
        weights: `(rois, keypoints)`; 1.0 of those that are seen.
        denominator: seen keypoints of the global batch.
    """
    rois, height, width, count = ops.shape(logits)
    flat = ops.reshape(logits, (rois, height * width, count))
    entropy = _cross_entropy(ops.transpose(flat, (0, 2, 1)), cells)
    return ops.sum(entropy * weights) / denominator


def of_class(maps: Tensor, labels: Tensor) -> Tensor:
    """The plane of one class: `(rois, h, w, classes)` at `(rois,)`."""
    index = ops.reshape(ops.cast(labels, "int32"), (-1, 1, 1, 1))
    return ops.squeeze(ops.take_along_axis(maps, index, axis=-1), -1)


def smallest_denominator(count: Tensor) -> Tensor:
    """`count` as a float32, and 1 where there is nothing: the loss is 0."""
    return ops.maximum(_float32(count), 1.0)


def _float32(x: Tensor) -> Tensor:
    return ops.cast(x, "float32")


def _binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    logits = _float32(logits)
    # Of logits of any size.
    small = ops.log1p(ops.exp(-ops.abs(logits)))
    return ops.maximum(logits, 0.0) - logits * targets + small


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    logs = ops.log_softmax(_float32(logits), axis=-1)
    index = ops.expand_dims(ops.cast(labels, "int32"), -1)
    return -ops.squeeze(ops.take_along_axis(logs, index, axis=-1), -1)
