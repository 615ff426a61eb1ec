import numpy as np
import pytest
import tensorflow as tf

from training.loop import classification_loss

RNG = np.random.default_rng(0)
LOGITS = 3 * RNG.standard_normal((5, 7))
# float32 against float64, of numbers up to ten.
TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_one_class_an_example(smoothing):
    labels = np.array([0, 6, 3, 3, 1])
    targets = (1 - smoothing) * np.eye(7)[labels] + smoothing / 7
    expected = -(targets * log_softmax(LOGITS)).sum(axis=-1)
    got = classification_loss.example_losses(
        tf.constant(labels), tf.constant(LOGITS, tf.float32), smoothing
    )
    np.testing.assert_allclose(got, expected, **TOLERANCE)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_several_classes_an_example(smoothing):
    labels = RNG.integers(0, 2, (5, 7)).astype("float64")
    targets = np.where(labels == 1, 1 - smoothing / 2, smoothing / 2)
    p = 1 / (1 + np.exp(-LOGITS))
    losses = -(targets * np.log(p) + (1 - targets) * np.log(1 - p))
    got = classification_loss.example_losses(
        tf.constant(labels), tf.constant(LOGITS, tf.float32), smoothing
    )
    np.testing.assert_allclose(got, losses.mean(axis=-1), **TOLERANCE)


def test_focal_loss_weighs_by_what_is_wrong():
    labels = RNG.integers(0, 2, (5, 7)).astype("float64")
    p = 1 / (1 + np.exp(-LOGITS))
    right = np.where(labels == 1, p, 1 - p)
    expected = (-((1 - right) ** 2.5) * np.log(right)).mean(axis=-1)
    got = classification_loss.example_losses(
        tf.constant(labels), tf.constant(LOGITS, tf.float32), 0.0, 2.5
    )
    np.testing.assert_allclose(got, expected, **TOLERANCE)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_loss_of_what_is_surely_right_has_no_slope(gamma):
    logits = tf.Variable([[200.0, -200.0, 0.0]])
    with tf.GradientTape() as tape:
        loss = classification_loss.example_losses(
            tf.constant([[1.0, 0, 1]]), logits, 0.0, gamma
        )
    *sure, unsure = tape.gradient(loss, logits).numpy()[0]
    # Of (1 - p)^gamma -log(p), at p = 1/2, over three classes.
    slope = -(0.5 ** (gamma + 1)) * (1 + gamma * np.log(2)) / 3
    np.testing.assert_allclose([*sure, unsure], [0, 0, slope], rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_labels_of_a_mixture_are_shares(smoothing):
    labels = RNG.dirichlet(np.ones(7), 5)
    targets = (1 - smoothing) * labels + smoothing / 7
    expected = -(targets * log_softmax(LOGITS)).sum(axis=-1)
    got = classification_loss.example_losses(
        tf.constant(labels, tf.float32),
        tf.constant(LOGITS, tf.float32),
        smoothing,
        is_mixture=True,
    )
    np.testing.assert_allclose(got, expected, **TOLERANCE)


def test_half_precision_logits_have_a_float32_loss():
    logits = tf.constant(100 * LOGITS, tf.bfloat16)
    loss = classification_loss.example_losses(tf.zeros(5, tf.int64), logits)
    assert loss.dtype == tf.float32
    assert np.isfinite(loss).all()
