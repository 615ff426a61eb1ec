"""Classification metrics, against scikit-learn and loops."""

import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from tests.training.evaluation.scored_videos import (
    charades_like,
    charades_map,
)
from training.evaluation import metrics


def draw(shape, levels=None, seed=0):
    """Draw random scores; few levels give many ties."""
    rng = np.random.default_rng(seed)
    if levels is None:
        return rng.random(shape).astype(np.float32)
    return (rng.integers(0, levels, shape) / levels).astype(np.float32)


@pytest.mark.parametrize("levels", [None, 1, 2, 5])
@pytest.mark.parametrize("seed", range(5))
def test_average_precision_equals_scikit_learns_with_ties(levels, seed):
    scores = draw(37, levels, seed)
    labels = np.random.default_rng(seed + 99).integers(0, 2, 37)
    expected = sklearn_metrics.average_precision_score(labels, scores)
    # The same sums in float64; the order of 37 terms is all that differs.
    got = metrics.average_precision(scores, labels)
    assert got == pytest.approx(expected, rel=1e-12)


def test_map_ignores_classes_without_positives():
    scores = draw((11, 3), levels=4)
    labels = np.random.default_rng(1).integers(0, 2, (11, 3))
    labels[:, 1] = 0
    expected = sklearn_metrics.average_precision_score(
        labels[:, [0, 2]], scores[:, [0, 2]], average="macro"
    )
    got = metrics.mean_average_precision(scores, labels)
    assert got == pytest.approx(expected, rel=1e-12)
    assert np.isnan(metrics.average_precisions(scores, labels)[1])


def test_map_without_unlabelled_videos_equals_charades():
    scores, labels = charades_like(211, 23, 17, seed=2)
    has_label = labels.any(axis=1)
    got = metrics.mean_average_precision(scores[has_label], labels[has_label])
    assert got == pytest.approx(charades_map(scores, labels), rel=1e-12)


def test_average_precision_by_hand():
    # Ranked: right, wrong, right: precision 1 at the first, 2/3 at the last.
    scores = np.array([0.2, 0.9, 0.5])
    assert metrics.average_precision(
        scores, np.array([1, 1, 0])
    ) == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_equals_a_loop(k):
    scores, labels = draw((29, 7), seed=3), np.arange(29) % 7
    expected = [
        sum(other > row[label] for other in row) < k
        for row, label in zip(scores, labels, strict=True)
    ]
    assert metrics.in_top_k(scores, labels, k).tolist() == expected


def test_ties_are_ranked_in_class_order():
    scores = np.array([[0.2, 0.4, 0.4, 0.0]] * 3)
    labels = np.array([1, 2, 0])
    assert metrics.predicted_classes(scores).tolist() == [1, 1, 1]
    assert metrics.in_top_k(scores, labels, 1).tolist() == [True, False, False]
    assert metrics.in_top_k(scores, labels, 2).tolist() == [True, True, False]


def test_mean_class_accuracy_is_balanced_accuracy():
    labels = np.array([0, 0, 0, 0, 2, 2, 3])
    guesses = np.array([0, 0, 0, 1, 2, 0, 1])
    expected = sklearn_metrics.recall_score(
        labels, guesses, labels=[0, 2, 3], average="macro"
    )
    scores = np.eye(4)[guesses]
    assert metrics.mean_class_accuracy(scores, labels) == pytest.approx(
        expected, rel=1e-12
    )


def test_losses_equal_scikit_learns():
    scores, labels = draw((13, 5), seed=7), np.arange(13) % 5
    scores = scores / scores.sum(1, keepdims=True)
    assert metrics.log_loss(scores, labels) == pytest.approx(
        sklearn_metrics.log_loss(labels, scores, labels=range(5)), rel=1e-6
    )  # scikit-learn stays in float32
    hot = (draw((13, 5), seed=8) > 0.5).astype(int)
    expected = np.mean(
        [sklearn_metrics.log_loss(hot[:, c], scores[:, c]) for c in range(5)]
    )
    assert metrics.binary_log_loss(scores, hot) == pytest.approx(
        expected, rel=1e-6
    )


def test_zero_probability_has_a_finite_loss():
    scores = np.array([[1.0, 0.0]], np.float32)
    assert metrics.log_loss(scores, np.array([1])) == pytest.approx(
        126 * math.log(2)
    )


def test_views_are_averaged_in_float64():
    scores = draw((3, 30, 5))
    expected = [
        [
            math.fsum(float(scores[n, v, c]) for v in range(30)) / 30
            for c in range(5)
        ]
        for n in range(3)
    ]
    # 30 additions in float64.
    np.testing.assert_allclose(metrics.pool_views(scores), expected, rtol=1e-14)
    largest = metrics.pool_views(scores, "max")
    np.testing.assert_array_equal(largest, scores.max(1))


def test_confusion_matrix_equals_scikit_learns():
    labels, guesses = np.arange(31) % 5, np.arange(31) * 3 % 4
    expected = sklearn_metrics.confusion_matrix(labels, guesses)
    got = metrics.confusion_matrix(guesses, labels, 5)
    np.testing.assert_array_equal(got, expected)


def test_prevalence_is_the_map_of_random_scores():
    labels = np.zeros((4000, 3), int)
    labels[:400, 0] = labels[:2000, 1] = 1  # the third is never seen
    assert metrics.prevalence(labels) == pytest.approx((0.1 + 0.5) / 2)
    reached = metrics.mean_average_precision(draw((4000, 3), seed=5), labels)
    # Precision at each rank varies by about sqrt(p (1 - p) / rank).
    assert reached == pytest.approx(0.3, abs=0.02)
