import itertools
import math

import numpy as np
import pytest

from training.reporting import axes


def test_ticks_cover_the_range_in_few_equal_round_parts():
    random = np.random.default_rng(3)
    for low, span, parts in zip(
        random.normal(size=200),
        10.0 ** random.uniform(-5, 9, 200),
        itertools.cycle((2, 5, 8)),
        strict=False,
    ):
        found = axes.ticks(low, low + span, parts)
        widths = np.diff(found)
        width = widths.mean()
        assert len(widths) <= parts
        assert found[0] <= low + 1e-8 * width
        assert found[-1] >= low + span - 1e-8 * width
        assert found[1] > low and found[-2] < low + span  # no part is empty
        np.testing.assert_allclose(widths, width, rtol=1e-6)
        digit = width / 10 ** math.floor(math.log10(width) + 1e-9)
        assert round(digit, 6) in (1, 2, 5)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 0.5, 1], ["0.0", "0.5", "1.0"]),
        ([0, 20000, 40000], ["0", "20,000", "40,000"]),
        ([0, 0.0002, 0.0004], ["0.0000", "0.0002", "0.0004"]),
        ([0, 2e-7], ["0", "2e-07"]),
        ([1e9, 3e9], ["1e+09", "3e+09"]),
    ],
)
def test_labels_have_the_digits_that_tell_them_apart(values, expected):
    assert axes.labels(values) == expected


def test_values_are_in_proportion_between_the_ends():
    axis = axes.around(300, 100, [2, 3, 7.5], parts=5, may_be_log=True)
    assert not axis.log and (axis.low, axis.high) == (2, 8)
    assert axis.at(2) == 300 and axis.at(8) == 100
    assert axis.at(3.5) == pytest.approx(250)


def test_more_than_two_decades_may_be_logarithmic():
    axis = axes.around(0, 300, [0.02, 3], parts=5, may_be_log=True)
    assert axis.log and [label for _, label in axis.marks] == [
        "0.01",
        "0.1",
        "1",
        "10",
    ]
    assert axis.at(1) == pytest.approx(200)
    assert not axes.around(0, 300, [0.02, 3], 5, may_be_log=False).log
    assert not axes.around(0, 300, [0.0, 3], 5, may_be_log=True).log


@pytest.mark.parametrize("value", [0.0, 0.5, -3.0, 1e-9, 1e12])
def test_a_constant_lies_inside(value):
    axis = axes.around(0, 100, [value, value], parts=5, may_be_log=True)
    assert 0 < axis.at(value) < 100
    assert len(axis.marks) >= 2


def test_the_axis_of_steps_ends_at_the_last_one():
    axis = axes.from_zero(10, 110, last=37, parts=8)
    assert axis.at(37) == 110 and axis.at(0) == 10
    assert [label for _, label in axis.marks] == [
        str(step) for step in range(0, 36, 5)
    ]


def test_no_value_makes_an_axis_without_marks():
    assert axes.around(0, 100, [], parts=5, may_be_log=True).marks == []
