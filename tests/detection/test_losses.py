"""Losses of given targets and their gradients, compared with torchvision."""

import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf.detection import losses
from tests.detection import golden

TOLERANCE = {"rtol": 1e-5, "atol": 1e-7}
GRADIENT_TOLERANCE = {"rtol": 0, "atol": 1e-6}


def values_and_gradients(function, *inputs):
    """Return the losses, and the gradients of their sum."""
    inputs = [tf.constant(x) for x in inputs]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        values = function(*inputs)
        total = sum(values)
    return values, tape.gradient(total, inputs)


@pytest.mark.parametrize("name", ["rpn", "rpn_nopos"])
def test_rpn_losses_equal_torchvision(name):
    stored = golden.group("losses", name)
    positive, negative = (
        stored[f"sampled_{sign}"].astype("float32") for sign in ("pos", "neg")
    )
    sampled = positive + negative

    def rpn_losses(logits, deltas):
        return (
            losses.objectness_loss(
                tf.reshape(logits, (2, -1)),
                stored["labels"],
                sampled,
                sampled.sum(),
            ),
            losses.box_loss(
                tf.reshape(deltas, (2, -1, 4)),
                stored["regression_targets"],
                positive,
                sampled.sum(),
            ),
        )

    values, gradients = values_and_gradients(
        rpn_losses, stored["objectness"], stored["deltas"]
    )
    expected = stored["loss_objectness"], stored["loss_rpn_box_reg"]
    np.testing.assert_allclose(values, expected, **TOLERANCE)
    for gradient, key in zip(gradients, ("objectness", "deltas"), strict=True):
        np.testing.assert_allclose(
            gradient, stored[f"grad_{key}"], **GRADIENT_TOLERANCE
        )


@pytest.mark.parametrize("name", ["box", "box_nofg"])
def test_box_head_losses_equal_torchvision(name):
    stored = golden.group("losses", name)
    labels, count = stored["labels"], len(stored["labels"])
    positive = (labels > 0).astype("float32")

    def box_head_losses(logits, deltas):
        deltas = tf.reshape(deltas, (count, -1, 4))
        return (
            losses.classification_loss(
                logits, labels, np.ones(count, "f4"), count
            ),
            losses.box_loss(
                tf.gather(deltas, labels, batch_dims=1),
                stored["regression_targets"],
                positive,
                count,
            ),
        )

    values, gradients = values_and_gradients(
        box_head_losses, stored["class_logits"], stored["box_regression"]
    )
    expected = stored["loss_classifier"], stored["loss_box_reg"]
    np.testing.assert_allclose(values, expected, **TOLERANCE)
    for gradient, key in zip(
        gradients, ("class_logits", "box_regression"), strict=True
    ):
        np.testing.assert_allclose(
            gradient, stored[f"grad_{key}"], **GRADIENT_TOLERANCE
        )


def test_mask_loss_equals_torchvision():
    stored = golden.group("losses", "mask")
    labels = np.concatenate(
        [stored[f"gt_labels{n}"][stored[f"matched_idxs{n}"]] for n in (0, 1)]
    )
    count = len(labels)
    values, (gradient,) = values_and_gradients(
        lambda logits: [
            losses.mask_loss(
                logits, stored["targets"], labels, np.ones(count, "f4"), count
            )
        ],
        golden.channels_last(stored["logits"]),
    )
    np.testing.assert_allclose(values[0], stored["loss_mask"], **TOLERANCE)
    expected = golden.channels_last(stored["grad_logits"])
    np.testing.assert_allclose(gradient, expected, **GRADIENT_TOLERANCE)


def test_keypoint_loss_equals_torchvision():
    stored = golden.group("losses", "keypoint")
    cells, valid = stored["target_index"], stored["target_valid"] > 0
    values, (gradient,) = values_and_gradients(
        lambda logits: [
            losses.keypoint_loss(
                logits, cells, valid.astype("float32"), valid.sum()
            )
        ],
        golden.channels_last(stored["logits"]),
    )
    np.testing.assert_allclose(values[0], stored["loss_keypoint"], **TOLERANCE)
    gradient = np.moveaxis(gradient, -1, 1)
    np.testing.assert_allclose(
        gradient[0], stored["grad_logits_roi0"], **GRADIENT_TOLERANCE
    )
    norms = np.sqrt(np.square(gradient).sum((-1, -2)))
    np.testing.assert_allclose(norms, stored["grad_logits_norm"], atol=1e-6)


def test_without_samples_loss_and_gradient_are_zero():
    weights = np.zeros((3, 17), "float32")
    logits = np.random.default_rng(0).normal(size=(3, 5, 7, 17))
    values, (gradient,) = values_and_gradients(
        lambda logits: [
            losses.keypoint_loss(
                logits,
                np.zeros((3, 17), "int32"),
                weights,
                losses.safe_denominator(weights.sum()),
            )
        ],
        logits.astype("float32"),
    )
    assert float(values[0]) == 0 and not np.asarray(gradient).any()


def test_targets_without_weight_need_not_be_finite():
    targets = np.array([[1.0, 2, 3, 4], [np.inf, -np.inf, np.nan, 0]], "f4")
    weights = np.array([1.0, 0.0], "f4")
    values, (gradient,) = values_and_gradients(
        lambda deltas: [losses.box_loss(deltas, targets, weights, 2.0)],
        np.zeros((2, 4), "f4"),
    )
    # Linear: each difference less half of beta = 1 / 9.
    assert float(values[0]) == pytest.approx((10 - 4 / 18) / 2)
    np.testing.assert_allclose(gradient, [[-0.5] * 4, [0] * 4], atol=1e-7)
