import pytest

from training import progress
from training.progress import Progress


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 s"),
        (61, "1 min 1 s"),
        (3599.7, "1 h 0 min"),
        (9000, "2 h 30 min"),
    ],
)
def test_durations_are_said_in_two_units(seconds, said):
    assert progress.duration(seconds) == said


def test_it_says_now_and_then_how_long_it_still_takes(monkeypatch, capsys):
    clock = iter([0.0, 3.0, 6.0, 8.0, 20.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    said = Progress(8, "videos", every_seconds=5)
    for done in (1, 2, 3, 8):
        said.at(done)
    captured = capsys.readouterr()
    assert captured.err == "2 of 8 videos, about 18 s left\n"
    assert captured.out == ""
