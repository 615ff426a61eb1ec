import sys

import pytest

from tests.training.terminals import Clock, Terminal
from training.io import progress
from training.io.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def advance(clock, progress, *steps):
    """Report what is done, each after some seconds."""
    for seconds, count in steps:
        clock.now += seconds
        progress.update(count)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (61, "1 min 1 s"),
        (3599.7, "1 h 0 min"),
        (9000, "2 h 30 min"),
    ],
)
def test_durations_have_two_units(seconds, text):
    assert progress.duration(seconds) == text


def test_time_remaining_is_printed_now_and_then(clock, capsys):
    progress = Progress(8, "videos", every_seconds=5)
    for count, now in ((1, 3), (2, 6), (3, 8), (8, 20)):
        clock.now = 1000 + now
        progress.update(count)
    captured = capsys.readouterr()
    assert captured.err == "2 of 8 videos, about 18 s left\n"
    assert captured.out == ""


def test_the_first_line_comes_earlier_than_the_others(clock, capsys):
    progress = Progress(90, "videos")
    advance(clock, progress, *((1, count) for count in range(1, 90)))
    lines = capsys.readouterr().err.splitlines()
    numbers = [int(line.split()[0]) for line in lines]
    assert numbers == [5, 20, 35, 50, 65, 80]


def test_what_was_done_before_does_not_make_it_faster(clock, capsys):
    progress = Progress(30, "videos", start=10)
    advance(clock, progress, (2, 11), (18, 20))
    assert capsys.readouterr().err == "20 of 30 videos, about 20 s left\n"


def test_a_line_is_not_written_over_another(clock, monkeypatch, capsys):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    progress.show("Epoch 1/3, validation")
    loop_progress = Progress(4, "pictures")
    advance(clock, loop_progress, (9, 1))
    assert terminal.lines() == [""]
    assert capsys.readouterr().err == "1 of 4 pictures\n"


def test_the_first_one_does_not_count_in_the_estimate(clock, capsys):
    progress = Progress(9, "pictures", every_seconds=2)
    advance(clock, progress, (60, 1), (3, 2))
    assert capsys.readouterr().err.splitlines() == [
        "1 of 9 pictures",
        "2 of 9 pictures, about 21 s left",
    ]
