"""Accuracy of several trainings, and its interval."""

import math

import pytest

from training.reproduce import accuracy


def test_an_interval_holds_the_shares_that_a_binomial_test_keeps():
    """The ends solve |share - p| = z sqrt(p (1 - p) / n)."""
    low, high = accuracy.interval(7, 11)
    for end in (low, high):
        deviation = accuracy.Z * math.sqrt(end * (1 - end) / 11)
        assert abs(abs(7 / 11 - end) - deviation) < 1e-12
    assert low < 7 / 11 < high
    assert accuracy.interval(0, 5)[0] == pytest.approx(0, abs=1e-12)


def test_the_mean_is_that_of_all_examples():
    runs = [
        {"accuracy": 0.75, "clips": 4, "seed": 0},
        {"accuracy": 1.0, "clips": 7, "seed": 5},
    ]
    assert accuracy.mean(runs, "clips") == 10 / 11
    low, high = accuracy.interval(10, 11)
    text = accuracy.mean_text(runs, "clips")
    assert text == f"90.9 % [{100 * low:.1f} to {100 * high:.1f}]"
    assert accuracy.by_seed(runs) == "75.0 % (0), 100.0 % (5)"
