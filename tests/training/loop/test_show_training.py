import io
import sys

import pytest

from tests.training.terminals import Clock, Terminal
from training.io import progress
from training.loop import show_training
from training.loop.show_training import LIVE, LOG, SILENT, ShowTraining

LOGS = {"loss": 1.0527123, "accuracy": 0.4}
VALIDATED = {**LOGS, "val_loss": 1.25, "val_accuracy": 0.375}


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(show_training, "time", clock)
    monkeypatch.setattr(progress, "time", clock)
    monkeypatch.setenv("COLUMNS", "80")
    return clock


def screen(monkeypatch, stream):
    monkeypatch.setattr(sys, "stdout", stream)
    return stream


def epoch(callback, clock, number, steps=10, step_s=2.0, first_s=2.0, rest_s=5):
    """An epoch of `fit`: steps, batches of a validation, and saving."""
    callback.set_params({"steps": steps})
    callback.on_epoch_begin(number)
    for step in range(steps):
        clock.now += step_s if step else first_s
        callback.on_train_batch_end(step, LOGS)
    for batch in range(3):
        clock.now += rest_s / 3
        callback.on_test_batch_end(batch)
    callback.on_epoch_end(number, VALIDATED)


def test_a_terminal_has_each_thing_on_a_line_of_its_own(clock, monkeypatch):
    terminal = screen(monkeypatch, Terminal())
    callback = ShowTraining(30, 10, LIVE)
    for number in range(3):
        epoch(callback, clock, number, first_s=40.0 if number == 0 else 2.0)
    figures = "loss 1.053, accuracy 0.4, val_loss 1.25"
    last = "val_accuracy 0.375"
    assert terminal.lines() == [
        "Epoch 1/3: 10 steps (the first builds the graph and takes longest)",
        f"Epoch 1/3, 1 min 3 s: {figures},",
        f"  {last}",
        "2 epochs left, about 50 s",
        f"Epoch 2/3, 25 s: {figures}, {last}",
        "1 epoch left, about 25 s",
        f"Epoch 3/3, 25 s: {figures}, {last}",
        "",
    ]
    assert max(map(len, terminal.overwritten)) < 80
    lines = [
        line for line in dict.fromkeys(terminal.overwritten) if "[" in line
    ]
    assert lines[1] == (
        "Epoch 1/3 [====                ] 2/10, loss 1.053, "
        "about 56 s + validation left"
    )
    assert lines[-1].endswith("9/10, loss 1.053, about 7 s left")


def test_the_time_left_counts_validation_and_not_the_first_step(
    clock, monkeypatch
):
    printed = screen(monkeypatch, io.StringIO())
    callback = ShowTraining(50, 10, LOG)
    epoch(callback, clock, 0, first_s=90.0, rest_s=50)
    epoch(callback, clock, 1, rest_s=6)
    lines = printed.getvalue().splitlines()
    assert "less than" not in printed.getvalue()
    # 10 steps of 2 s, and 50 s of the only validation so far.
    assert "4 epochs left, about 4 min 40 s" in lines
    # The first validation builds a graph too.
    assert "3 epochs left, about 1 min 18 s" in lines


def test_a_log_has_a_line_now_and_then(clock, monkeypatch):
    printed = screen(monkeypatch, io.StringIO())
    callback = ShowTraining(300, 100, LOG)
    epoch(callback, clock, 0, steps=100, step_s=1.0, rest_s=60)
    lines = printed.getvalue().splitlines()
    assert "\r" not in printed.getvalue()
    steps = [line for line in lines if ", step " in line]
    assert len(steps) == 6
    assert steps[0] == (
        "Epoch 1/3, step 14/100: loss 1.053, about 4 min 46 s + validation left"
    )
    assert any("validation, batch" in line for line in lines)
    assert max(map(len, lines)) < 80


def test_the_log_begins_before_the_first_step(clock, monkeypatch):
    printed = screen(monkeypatch, io.StringIO())
    callback = ShowTraining(8, 4, LOG)
    callback.set_params({"steps": 4})
    callback.on_epoch_begin(0)
    assert printed.getvalue().startswith("Epoch 1/2: 4 steps (the first ")


def test_an_epoch_of_a_detector_is_a_short_line(clock, monkeypatch):
    printed = screen(monkeypatch, io.StringIO())
    callback = ShowTraining(4, 4, LOG, figures=("loss", "val_box_AP"))
    callback.set_params({"steps": 4})
    callback.on_epoch_begin(0)
    kinds = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100")
    logs = {f"val_box_{kind}": 0.1234567 for kind in kinds}
    callback.on_epoch_end(0, {"loss": 2.5, "objectness": 1.0, **logs})
    assert printed.getvalue().splitlines()[-1] == (
        "Epoch 1/1, 0 s: loss 2.5, val_box_AP 0.1235"
    )


def test_the_rest_of_a_resumed_epoch_counts_on(clock, monkeypatch):
    terminal = screen(monkeypatch, Terminal())
    callback = ShowTraining(20, 10, LIVE)
    epoch(callback, clock, 1, steps=3)
    lines = [n for n in dict.fromkeys(terminal.overwritten) if "/10, loss" in n]
    assert "8/10, loss" in lines[0] and "9/10, loss" in lines[1]


def test_a_last_epoch_may_be_shorter(clock, monkeypatch):
    printed = screen(monkeypatch, io.StringIO())
    callback = ShowTraining(14, 10, LOG)
    epoch(callback, clock, 0)
    epoch(callback, clock, 1, steps=4)
    text = printed.getvalue()
    assert "1 epoch left, about 13 s" in text
    assert "Epoch 2/2, 13 s: loss" in text


@pytest.mark.parametrize("columns", ["20", "43", "200"])
def test_a_terminal_of_any_width_is_kept(columns, clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    terminal = screen(monkeypatch, Terminal())
    callback = ShowTraining(30, 10, LIVE)
    callback.set_params({"steps": 10})
    callback.on_epoch_begin(0)
    count = len(terminal.overwritten)
    for step in range(9):
        clock.now += 1
        callback.on_train_batch_end(step, LOGS)
    assert all(
        len(line) < int(columns) for line in terminal.overwritten[count:]
    )


def test_nothing_is_said_where_it_is_to_be_silent(clock, monkeypatch):
    printed = screen(monkeypatch, io.StringIO())
    epoch(ShowTraining(10, 10, SILENT), clock, 0)
    assert printed.getvalue() == ""


def test_a_note_is_not_mixed_with_the_line_that_is_written_over(
    clock, monkeypatch
):
    terminal = screen(monkeypatch, Terminal())
    progress.show("Epoch 1/3 [====                ] 2/10, loss 1.053")
    progress.say("note: a.png is left out")
    assert terminal.lines() == ["note: a.png is left out", ""]
