"""The learning-rate range test."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tests.training.loop.linear_trainer import CLASSES, LABELS, X, make
from training.loop.learning_rate_finder import range_test, steepest_rate


@pytest.mark.parametrize("curvature", [0.7, 30.0])
def test_the_rate_of_a_quadratic_is_the_one_in_closed_form(curvature):
    """Descend on a w^2 / 2, with k steps while the rate rises by e.

    For small steps, L = exp(-2 k a rate), which falls most by log(rate) at
    2 k a rate = 1.
    """
    low, high, steps = 1e-5 / curvature, 1.0 / curvature, 50
    rates, losses, w = np.geomspace(low, high, steps), [], 3.0
    for rate in rates:
        losses.append(curvature * w * w / 2)
        w -= rate * curvature * w
    k = (steps - 1) / math.log(high / low)
    expected = 1 / (2 * k * curvature)
    # The fall is steeper after this rate than before it.
    assert expected / 1.5 < steepest_rate(rates, losses) < expected


@pytest.mark.parametrize("seed", range(20))
def test_noise_of_batches_hardly_moves_the_rate(seed):
    rates = np.geomspace(1e-5, 1.0, 50)
    losses = 1 + 1 / (1 + (rates / 1e-2) ** 2)
    noise = np.random.default_rng(seed).normal(size=50) * 0.2
    assert 2e-3 < steepest_rate(rates, losses + noise) < 5e-2


def test_a_loss_that_does_not_fall_has_no_rate():
    assert steepest_rate(np.geomspace(1e-5, 1, 50), np.arange(50)) is None
    assert steepest_rate([1e-3, 1e-2], [2.0, 1.0]) is None
    assert steepest_rate(np.geomspace(1e-5, 1, 19), -np.arange(19)) is None


def test_losses_are_those_of_descent_at_rising_rates():
    trainer = make()
    kernel, bias = (w.astype("float64") for w in trainer.get_weights())
    batches = tf.data.Dataset.from_tensors((X, LABELS)).repeat()
    rates, losses = range_test(trainer, batches, 0.01, 1.0, steps=5)
    np.testing.assert_allclose(rates, 0.01 * 10 ** (np.arange(5) / 2))
    for rate, loss in zip(rates, losses, strict=True):
        logits = X @ kernel + bias
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        expected = -np.log(p[range(len(X)), LABELS]).mean()
        assert loss == pytest.approx(expected, abs=1e-5)
        error = (p - np.eye(CLASSES)[LABELS]) / len(X)
        kernel -= rate * X.T @ error
        bias -= rate * error.sum(axis=0)


def test_a_test_ends_where_the_loss_diverges():
    trainer = make()
    batches = tf.data.Dataset.from_tensors((100 * X, LABELS)).repeat()
    rates, losses = range_test(trainer, batches, 1e-6, 1e6, steps=20)
    assert len(rates) == len(losses) < 20
