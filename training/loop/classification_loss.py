"""The loss of each example, in float32 whatever the policy."""

import keras
import tensorflow as tf


def example_losses(
    labels,
    logits,
    label_smoothing: float = 0.0,
    focal_gamma: float = 0.0,
    is_mixture: bool = False,
):
    """Compute the cross-entropy of each example.

    Args:
        labels: int `(batch,)`, one class an example; or float
            `(batch, classes)`, a 0 or 1 for each class.
        logits: `(batch, classes)`.
        label_smoothing: share of each label that goes to all classes alike
            (Szegedy et al., CVPR 2016); of a class that is or is not there,
            half of it.
        focal_gamma: focal loss of several labels: the cross-entropy of a class
            is multiplied by (1 - p) ** focal_gamma, with p the probability of
            what is right, so that easy examples count less.
        is_mixture: whether labels `(batch, classes)` are shares of one class
            each, as of mixup, not of several classes.

    Returns:
        float32 `(batch,)`. With several labels: the mean over the classes of
        the binary cross-entropies.

    Reference:
        Lin et al., Focal loss for dense object detection, ICCV 2017.
    """
    logits = tf.cast(logits, tf.float32)
    if is_mixture:
        labels = tf.cast(labels, tf.float32) * (1 - label_smoothing)
        labels += label_smoothing / labels.shape[-1]
        return tf.nn.softmax_cross_entropy_with_logits(labels, logits)
    if labels.shape.rank == 2:
        labels = tf.cast(labels, tf.float32)
        labels = labels * (1 - label_smoothing) + label_smoothing / 2
        losses = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
        if focal_gamma:
            p = tf.sigmoid(logits)
            wrong = labels * (1 - p) + (1 - labels) * p
            # The slope of a power below 1 is infinite at 0.
            is_wrong = wrong > 0
            power = tf.where(is_wrong, wrong, 1.0) ** focal_gamma
            losses *= tf.where(is_wrong, power, 0.0)
        return tf.reduce_mean(losses, axis=-1)
    own = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    if not label_smoothing:
        return own
    uniform = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=-1)
    return (1 - label_smoothing) * own + label_smoothing * uniform


def compiled(multi_label: bool, classes: int) -> dict:
    """Loss and metrics of a validation, as arguments for `compile`.

    Both are weighted: an example that could not be read counts in neither.
    """
    if multi_label:
        return {
            "loss": keras.losses.BinaryCrossentropy(
                from_logits=True, reduction="mean_with_sample_weight"
            ),
            # Area under the mean class's precision-recall curve, from 200
            # thresholds, videos without a class included;
            # `training.evaluate` computes it from all scores.
            "weighted_metrics": [
                keras.metrics.AUC(
                    curve="PR",
                    multi_label=True,
                    num_labels=classes,
                    from_logits=True,
                    name="auc_pr",
                )
            ],
        }
    return {
        "loss": keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        ),
        "weighted_metrics": ["accuracy"],
    }
