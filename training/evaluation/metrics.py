"""Figures of merit from scores, in plain NumPy and float64.

Rules where there is a choice: of equal scores the class that comes first in
the list is ranked first; equal scores of a class are one step of its
precision-recall curve, as in scikit-learn; a probability counts as at least
the smallest normal float32 in a logarithm, since a softmax in float32 may
give 0.
"""

import numpy as np

SMALLEST = float(np.finfo(np.float32).tiny)
POOLS = ("mean", "max")


def pooled(scores: np.ndarray, pool: str = "mean") -> np.ndarray:
    """Scores of videos from those of their views.

    Args:
        scores: `(videos, views, classes)`.
        pool: "mean", whose ranking is that of the sum, or "max".

    Returns:
        float64 `(videos, classes)`.
    """
    if pool == "max":
        return scores.max(axis=1).astype(np.float64)
    total = np.zeros((scores.shape[0], scores.shape[2]))
    for view in range(scores.shape[1]):  # one order, whatever the strides
        total += scores[:, view]
    return total / scores.shape[1]


def best(scores: np.ndarray) -> np.ndarray:
    """The class with the largest score, `(videos, classes)` to `(videos,)`."""
    return np.argmax(scores, axis=1)


def in_top(scores: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Whether the label is among the k best classes, bool `(videos,)`."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return (order == labels[:, None]).any(axis=1)


def mean_class_accuracy(right: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy a class, averaged over the classes that have a video."""
    accuracies = [right[labels == label].mean() for label in np.unique(labels)]
    return float(np.mean(accuracies))


def log_loss(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative logarithm of the label's probability."""
    of_label = scores[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(of_label, SMALLEST)).mean())


def binary_log_loss(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean binary cross-entropy over videos and classes.

    Args:
        scores: probability of each class, `(videos, classes)`.
        labels: 0 or 1, of the same shape.
    """
    scores = scores.astype(np.float64)
    of_truth = np.where(labels > 0, scores, 1 - scores)
    return float(-np.log(np.maximum(of_truth, SMALLEST)).mean())


def average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Area below the precision-recall curve of a class, as a sum of steps.

    Args:
        scores: `(videos,)`.
        labels: 0 or 1, `(videos,)`; at least one 1.

    Returns:
        The sum over thresholds of precision times the rise of recall.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, truth = scores[order], labels[order].astype(np.float64)
    # A step ends where the score changes: ties are taken at once.
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    hits = np.cumsum(truth)[ends]
    precision = hits / (ends + 1)
    rise = np.diff(hits, prepend=0.0) / truth.sum()
    return float((precision * rise).sum())


def average_precisions(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Average precision a class; NaN where no video has the class.

    Args:
        scores: `(videos, classes)`.
        labels: 0 or 1, of the same shape.
    """
    return np.array(
        [
            average_precision(scores[:, c], labels[:, c])
            if labels[:, c].any()
            else np.nan
            for c in range(labels.shape[1])
        ]
    )


def mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the classes that a video has, `(videos, classes)` each."""
    each = average_precisions(scores, labels)
    return float(each[~np.isnan(each)].mean())


def prevalence(labels: np.ndarray) -> float:
    """Mean share of videos of the classes that a video has.

    It is about what random scores reach in mean average precision.
    """
    shares = labels.astype(np.float64).mean(axis=0)
    return float(shares[shares > 0].mean())


def confusion(
    guesses: np.ndarray, labels: np.ndarray, classes: int
) -> np.ndarray:
    """Counts of (label, guess) pairs, int64 `(classes, classes)`."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, guesses), 1)
    return counts
