"""When frames are frames."""

import fractions
import types

import numpy as np
import pytest

from training.data import frame_times
from training.data.frame_times import FrameTimes


def stream(rate=10, unit=fractions.Fraction(1, 1000)):
    return types.SimpleNamespace(
        average_rate=rate, guessed_rate=rate, time_base=unit
    )


def measured(stamps, last=0, in_order=True, **rates):
    return frame_times.measure(stamps, last, stream(**rates), in_order)


def test_uneven_frames_follow_timestamps():
    times = measured([7000, 8000, 10000, 10040], last=40)
    np.testing.assert_allclose(times.edges_s, [0, 1, 3, 3.04, 3.08])
    assert times.length_s == pytest.approx(3.08)
    assert times.fps == pytest.approx(3 / 3.04) and times.stamped
    frames = [times.frame_at(s) for s in (0, 0.99, 1, 2.5, 3.0, 3.05, 3.07)]
    assert frames == [0, 0, 1, 1, 2, 3, 3]
    assert times.frame_at(3.08) == 4 and times.frame_at(-0.1) == -1
    np.testing.assert_allclose(times.starts_s(np.array([1, 3])), [1, 3.04])
    np.testing.assert_allclose(times.ends_s(np.array([1, 3])), [3, 3.08])


def test_rounded_timestamps_are_evenly_spaced():
    times = measured([0, 33, 67, 100, 133, 167, 200])  # 30 a second in ms
    assert times.edges_s is None and times.fps == pytest.approx(30)
    assert times.frame_at(0.0667) == 2
    assert times.length_s == pytest.approx(7 / 30)


@pytest.mark.parametrize(
    "stamps",
    [
        [0, 40, 40, 80],
        [0, 80, 40],
        [None, 40, 80],
        [0, 40, 7_200_000, 7_200_040],
    ],
)
def test_implausible_timestamps_are_ignored(stamps):
    times = measured(stamps)
    assert not times.stamped and times.edges_s is None
    assert times.length_s == pytest.approx(len(stamps) / 10)


def test_without_any_rate_there_are_no_times():
    assert measured([None, None], rate=0) is None


def test_wrong_rate_in_a_header_is_not_used():
    assert measured([0, 500, 1000]).fps == pytest.approx(2)
    # Of a damaged film the header's is kept, as long as it is near.
    assert measured([0, 100, 200], in_order=False).fps == 10
    assert measured([0, 100, 900], in_order=False).edges_s is not None


@pytest.mark.parametrize(
    ("last", "expected"), [(0, 2.0), (0.5, 0.5), (9, 9.0), (11, 2.0), (-1, 2.0)]
)
def test_last_frame_has_a_plausible_duration(last, expected):
    edges_s = frame_times.uneven_edges(np.array([0, 1.0, 3.0]), 1.0, last)
    assert edges_s[-1] - edges_s[-2] == pytest.approx(expected)


def test_evenly_spaced_frames_are_divided_by_the_rate():
    times = FrameTimes(8, 4.0)
    assert [times.frame_at(s) for s in (0, 0.3, 0.5, 1.99, 2.0)] == [
        0,
        1,
        2,
        7,
        8,
    ]
    np.testing.assert_array_equal(times.ends_s(np.array([0, 7])), [0.25, 2.0])
