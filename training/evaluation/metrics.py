"""Classification metrics in NumPy and float64, and the tables of them.

A metric in `SINGLE_LABEL` or `MULTI_LABEL` is computed by every evaluation,
stored in metrics.json, and listed in the terminal and in reports.

Conventions: ties are ranked in class order; equal scores of a class are one
step of its precision-recall curve, as in scikit-learn; logarithms clip
probabilities at the smallest normal float32, since a float32 softmax may give
0.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

SMALLEST = float(np.finfo(np.float32).tiny)
POOLS = ("mean", "max")


def pool_views(scores: np.ndarray, pool: str = "mean") -> np.ndarray:
    """Pool scores of views to scores of videos.

    Args:
        scores: `(videos, views, classes)`.
        pool: "mean", whose ranking is that of the sum, or "max".

    Returns:
        float64 `(videos, classes)`.
    """
    if pool == "max":
        return scores.max(axis=1).astype(np.float64)
    total = np.zeros((scores.shape[0], scores.shape[2]))
    for view in range(scores.shape[1]):  # order independent of strides
        total += scores[:, view]
    return total / scores.shape[1]


def predicted_classes(scores: np.ndarray) -> np.ndarray:
    """Return the best class of each video, `(videos, classes)` scores."""
    return np.argmax(scores, axis=1)


def in_top_k(scores: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Return True for labels among the k best classes, bool `(videos,)`."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return (order == labels[:, None]).any(axis=1)


def mean_class_accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Average the accuracies of the classes that have a video."""
    right = in_top_k(scores, labels, 1)
    accuracies = [right[labels == label].mean() for label in np.unique(labels)]
    return float(np.mean(accuracies))


def log_loss(scores: np.ndarray, labels: np.ndarray) -> float:
    """Compute the mean negative log-probability of the label."""
    of_label = scores[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(of_label, SMALLEST)).mean())


def binary_log_loss(scores: np.ndarray, labels: np.ndarray) -> float:
    """Compute the mean binary cross-entropy over videos and classes.

    Args:
        scores: probability of each class, `(videos, classes)`.
        labels: 0 or 1, of the same shape.
    """
    scores = scores.astype(np.float64)
    of_truth = np.where(labels > 0, scores, 1 - scores)
    return float(-np.log(np.maximum(of_truth, SMALLEST)).mean())


def average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Compute the area under a precision-recall curve as a sum of steps.

    Args:
        scores: `(videos,)`.
        labels: 0 or 1, `(videos,)`; at least one 1.

    Returns:
        The sum over thresholds of precision times the increase of recall.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, truth = scores[order], labels[order].astype(np.float64)
    # A step ends where the score changes, so ties share a step.
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    hits = np.cumsum(truth)[ends]
    precision = hits / (ends + 1)
    rise = np.diff(hits, prepend=0.0) / truth.sum()
    return float((precision * rise).sum())


def average_precisions(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Compute the average precision per class; NaN for absent classes.

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
    """Compute mAP over the classes that occur; `(videos, classes)` each."""
    precisions = average_precisions(scores, labels)
    return float(precisions[~np.isnan(precisions)].mean())


def prevalence(labels: np.ndarray) -> float:
    """Compute the mean share of positive videos of the classes that occur.

    It is about the mAP of random scores.
    """
    shares = labels.astype(np.float64).mean(axis=0)
    return float(shares[shares > 0].mean())


def confusion_matrix(
    predictions: np.ndarray, labels: np.ndarray, classes: int
) -> np.ndarray:
    """Count (label, prediction) pairs, int64 `(classes, classes)`."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predictions), 1)
    return counts


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric of evaluations, from 0 to 1.

    Attributes:
        name: name in tables.
        compute: function of scores `(videos, classes)`, pooled over views, and
            labels, as in `VideoScores`. It returns a number; a metric of
            `SINGLE_LABEL` may also return one for each video, to be averaged,
            with 0 for unreadable videos in `..._of_listed`.
        min_classes: number of classes from which on it is reported.
    """

    name: str
    compute: Callable[[np.ndarray, np.ndarray], float | np.ndarray]
    min_classes: int = 1


# By the key in metrics.json, in the order of the tables.
SINGLE_LABEL = {
    "accuracy": Metric("accuracy (top-1)", functools.partial(in_top_k, k=1)),
    "top5": Metric("top-5 accuracy", functools.partial(in_top_k, k=5), 6),
    "mean_class_accuracy": Metric("mean class accuracy", mean_class_accuracy),
}
MULTI_LABEL = {
    "mean_average_precision": Metric(
        "mean average precision", mean_average_precision
    ),
}


def names() -> dict[str, str]:
    """Return the names of all metrics in tables, by key."""
    return {k: m.name for k, m in (SINGLE_LABEL | MULTI_LABEL).items()}


def reported(multi_label: bool, classes: int) -> dict[str, Metric]:
    """Return the metrics to report for data with a number of classes."""
    table = MULTI_LABEL if multi_label else SINGLE_LABEL
    return {k: m for k, m in table.items() if classes >= m.min_classes}
