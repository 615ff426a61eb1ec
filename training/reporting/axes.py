"""Axes of a diagram: which numbers are marked, and where values are."""

import dataclasses
import itertools
import math
from collections.abc import Sequence

LOG_FROM = 100  # largest by smallest value
FLAT = 1e-9  # values that differ by a smaller share are one


@dataclasses.dataclass(frozen=True)
class Axis:
    """Where numbers are along one side.

    Attributes:
        start_px: where `low` is.
        end_px: where `high` is.
        low: the smallest number.
        high: the largest.
        marks: the numbers that are written beside it, and how.
        log: whether it is logarithmic.
    """

    start_px: float
    end_px: float
    low: float
    high: float
    marks: Sequence[tuple[float, str]]
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = (math.log10(v) for v in (low, high, value))
        share = (value - low) / (high - low)
        return self.start_px + share * (self.end_px - self.start_px)


def from_zero(start_px: float, end_px: float, last: float, parts: int) -> Axis:
    """The axis from zero to `last`, marked at `parts` places at the most."""
    marked = [tick for tick in ticks(0, last, parts) if tick <= last]
    return Axis(start_px, end_px, 0, last, _labelled(marked))


def around(
    start_px: float,
    end_px: float,
    values: Sequence[float],
    parts: int,
    may_be_log: bool,
) -> Axis:
    """An axis that all finite values fit on, with marks at its ends.

    Args:
        start_px: where the smaller end is.
        end_px: where the larger one is.
        values: finite numbers; none make an axis without marks.
        parts: between marks, at the most.
        may_be_log: whether it is logarithmic for positive values over more
            than two decades.
    """
    if not values:
        return Axis(start_px, end_px, 0, 1, [])
    low, high = min(values), max(values)
    if may_be_log and low > 0 and high / low > LOG_FROM:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        every = -(-(last - first) // parts)
        decades = [10.0**n for n in range(first, last + 1, every)]
        marks = [(decade, f"{decade:g}") for decade in decades]
        return Axis(start_px, end_px, 10.0**first, 10.0**last, marks, True)
    if high - low <= FLAT * max(abs(low), abs(high)):
        half = abs(low) / 2 or 1.0
        low, high = low - half, high + half
    rounds = ticks(low, high, parts)
    return Axis(start_px, end_px, rounds[0], rounds[-1], _labelled(rounds))


def ticks(low: float, high: float, parts: int) -> list[float]:
    """Round numbers that cover a range in equal parts.

    Args:
        low: smallest number to cover.
        high: largest, which is larger.
        parts: how many, at the most.

    Returns:
        Multiples of 1, 2 or 5 times a power of ten. The first is `low` or
        below, the last is `high` or above.
    """
    power = math.floor(math.log10((high - low) / parts))
    for exponent in range(power, power + 3):
        for width in (digit * 10.0**exponent for digit in (1, 2, 5)):
            # Not one part more for a rounding error.
            first = math.floor(low / width + FLAT)
            last = math.ceil(high / width - FLAT)
            if last - first <= parts:
                return [n * width for n in range(first, last + 1)]
    raise ValueError(f"Expected low < high. Received: {low}, {high}")


def labels(values: Sequence[float]) -> list[str]:
    """Evenly spaced numbers with as many digits as tell them apart."""
    width = min(b - a for a, b in itertools.pairwise(values))
    digits = max(0, -math.floor(math.log10(width) + FLAT))
    if digits > 5 or max(abs(value) for value in values) >= 1e7:
        return [f"{value:.4g}" for value in values]
    return [f"{value:,.{digits}f}" for value in values]


def _labelled(values: Sequence[float]) -> list[tuple[float, str]]:
    return list(zip(values, labels(values), strict=True))
