"""Accuracy of several trainings, with the interval of how many were right."""

import math
from collections.abc import Sequence

from ..io import tables

Z = 1.96  # of an interval of 95 %


def interval(correct: int, examples: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share.

    Args:
        correct: number of correct examples.
        examples: number of all, above 0.

    Returns:
        The lower and the upper end, from 0 to 1.

    Reference:
        Wilson, Probable inference, the law of succession, and statistical
        inference, JASA 1927.
    """
    share, spread = correct / examples, Z * Z / examples
    middle = share + spread / 2
    width = Z * math.sqrt(
        share * (1 - share) / examples + spread / 4 / examples
    )
    return (middle - width) / (1 + spread), (middle + width) / (1 + spread)


def mean(runs: Sequence[dict], examples: str = "examples") -> float:
    """Return the accuracy on all examples of all trainings.

    Args:
        runs: results, with their "accuracy".
        examples: field with the number of examples.
    """
    return _correct(runs, examples) / sum(run[examples] for run in runs)


def mean_text(runs: Sequence[dict], examples: str = "examples") -> str:
    """Format the same with its interval: "98.3 % [98.0 to 98.6]".

    Args:
        runs: as for `mean`.
        examples: as for `mean`.
    """
    count = sum(run[examples] for run in runs)
    low, high = interval(_correct(runs, examples), count)
    share = tables.percent(mean(runs, examples))
    return f"{share} [{100 * low:.1f} to {100 * high:.1f}]"


def by_seed(runs: Sequence[dict]) -> str:
    """Format the accuracy of each training: "98.6 % (0), 98.1 % (1)"."""
    return ", ".join(
        f"{tables.percent(run['accuracy'])} ({run['seed']})" for run in runs
    )


def _correct(runs: Sequence[dict], examples: str) -> int:
    return round(sum(run["accuracy"] * run[examples] for run in runs))
