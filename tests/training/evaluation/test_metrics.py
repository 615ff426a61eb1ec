"""Figures of merit, against scikit-learn and loops."""

import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from training.evaluation import metrics


def draw(shape, levels=None, seed=0):
    """Random scores; with few levels, many are equal."""
    rng = np.random.default_rng(seed)
    if levels is None:
        return rng.random(shape).astype(np.float32)
    return (rng.integers(0, levels, shape) / levels).astype(np.float32)


@pytest.mark.parametrize("levels", [None, 1, 2, 5])
@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_scikit_learns_with_ties_too(levels, seed):
    scores = draw(37, levels, seed)
    labels = np.random.default_rng(seed + 99).integers(0, 2, 37)
    expected = sklearn_metrics.average_precision_score(labels, scores)
    # The same sums in float64; the order of 37 terms is all that differs.
    got = metrics.average_precision(scores, labels)
    assert got == pytest.approx(expected, rel=1e-12)


def test_classes_without_positives_do_not_count():
    scores = draw((11, 3), levels=4)
    labels = np.random.default_rng(1).integers(0, 2, (11, 3))
    labels[:, 1] = 0
    expected = sklearn_metrics.average_precision_score(
        labels[:, [0, 2]], scores[:, [0, 2]], average="macro"
    )
    got = metrics.mean_average_precision(scores, labels)
    assert got == pytest.approx(expected, rel=1e-12)
    assert np.isnan(metrics.average_precisions(scores, labels)[1])


def official(scores, labels):
    """Charades' own figure, from its definition, a video at a time.

    A video without an action has -inf in every class. Videos are ranked by
    their scores; of each class, the precisions at the ranks of its videos are
    averaged, and then the classes.
    """
    precisions = []
    for c in range(labels.shape[1]):
        ranked = sorted(
            range(len(labels)),
            key=lambda v: scores[v, c] if labels[v].sum() else -math.inf,
            reverse=True,
        )
        found = [rank for rank, v in enumerate(ranked, 1) if labels[v, c] == 1]
        each = [count / rank for count, rank in enumerate(found, 1)]
        precisions.append(sum(each) / len(each))
    return sum(precisions) / len(precisions)


def charades_like(videos, classes, unlabelled, seed):
    """Distinct scores and labels, as many a video as Charades has."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((videos, classes)) < 6.8 / classes).astype(np.uint8)
    labels[labels.sum(1) == 0, 3] = 1
    labels[rng.permutation(videos)[:unlabelled]] = 0
    noisy = rng.normal(size=labels.shape) + 1.65 * labels
    ranks = noisy.argsort(axis=0).argsort(axis=0)  # no two are equal
    return ((ranks + 0.5) / videos).astype(np.float32), labels


def test_without_the_unlabelled_it_is_the_official_figure_of_charades():
    scores, labels = charades_like(211, 23, 17, seed=2)
    has_label = labels.any(axis=1)
    got = metrics.mean_average_precision(scores[has_label], labels[has_label])
    assert got == pytest.approx(official(scores, labels), rel=1e-12)


def test_average_precision_by_hand():
    # Ranked: right, wrong, right: precision 1 at the first, 2/3 at the last.
    scores = np.array([0.2, 0.9, 0.5])
    assert metrics.average_precision(
        scores, np.array([1, 1, 0])
    ) == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_is_counted_by_a_loop(k):
    scores, labels = draw((29, 7), seed=3), np.arange(29) % 7
    expected = [
        sum(other > row[label] for other in row) < k
        for row, label in zip(scores, labels, strict=True)
    ]
    assert metrics.in_top(scores, labels, k).tolist() == expected


def test_of_equal_scores_the_first_class_is_ranked_first():
    scores = np.array([[0.2, 0.4, 0.4, 0.0]] * 3)
    labels = np.array([1, 2, 0])
    assert metrics.best(scores).tolist() == [1, 1, 1]
    assert metrics.in_top(scores, labels, 1).tolist() == [True, False, False]
    assert metrics.in_top(scores, labels, 2).tolist() == [True, True, False]


def test_mean_class_accuracy_is_balanced_accuracy():
    labels = np.array([0, 0, 0, 0, 2, 2, 3])
    guesses = np.array([0, 0, 0, 1, 2, 0, 1])
    expected = sklearn_metrics.recall_score(
        labels, guesses, labels=[0, 2, 3], average="macro"
    )
    assert metrics.mean_class_accuracy(
        guesses == labels, labels
    ) == pytest.approx(expected, rel=1e-12)


def test_losses_are_scikit_learns():
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


def test_a_probability_of_zero_has_a_finite_loss():
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
    np.testing.assert_allclose(metrics.pooled(scores), expected, rtol=1e-14)
    largest = metrics.pooled(scores, "max")
    np.testing.assert_array_equal(largest, scores.max(1))


def test_confusion_is_scikit_learns():
    labels, guesses = np.arange(31) % 5, np.arange(31) * 3 % 4
    expected = sklearn_metrics.confusion_matrix(labels, guesses)
    got = metrics.confusion(guesses, labels, 5)
    np.testing.assert_array_equal(got, expected)


def test_prevalence_is_what_random_scores_reach():
    labels = np.zeros((4000, 3), int)
    labels[:400, 0] = labels[:2000, 1] = 1  # the third is never seen
    assert metrics.prevalence(labels) == pytest.approx((0.1 + 0.5) / 2)
    reached = metrics.mean_average_precision(draw((4000, 3), seed=5), labels)
    # Precision at each rank varies by about sqrt(p (1 - p) / rank).
    assert reached == pytest.approx(0.3, abs=0.02)
