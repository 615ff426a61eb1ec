import math

import pytest

from training.runs import time_spent


def row(epoch=1, epoch_steps=7, **times):
    return {"epoch": epoch, "step": epoch * epoch_steps, **times}


MEASURED = [
    row(
        seconds=50.0,
        train_seconds=30.0,
        waiting_seconds=6.0,
        validation_seconds=8.0,
        precise_bn_seconds=2.0,
    ),
    row(
        epoch=2,
        seconds=20.0,
        train_seconds=12.0,
        waiting_seconds=3.0,
        validation_seconds=5.0,
        precise_bn_seconds=1.0,
    ),
]


def test_figures_of_measured_epochs():
    assert time_spent.figures(MEASURED, epoch_steps=7, batch=3) == {
        "epochs": "2",
        "steps": "14",
        "time in all": "70.00 s",
        "training": "42.00 s",
        "of it waiting for data": "9.00 s, 21.4 %",
        "validation": "13.00 s",
        "statistics for normalisation": "3.00 s",
        "the rest": "12.00 s",
        "time a step": "3 s",  # 42 / 14
        "examples a second": "1",
    }


def test_a_last_epoch_has_as_many_steps_as_its_row_says():
    rows = [MEASURED[0], MEASURED[1] | {"step": 12}]
    figures = time_spent.figures(rows, epoch_steps=7, batch=3)
    assert figures["steps"] == "12"
    assert figures["time a step"] == "3.5 s"  # 42 / 12
    assert time_spent.figures(rows[1:], 7, 3)["steps"] == "5"


def test_the_first_epoch_is_also_left_out():
    head, *lines = time_spent.compared(MEASURED, epoch_steps=6, batch=3)
    assert head == ("", "all epochs", "without the first")
    assert ("time a step", "3.5 s", "2 s") in lines
    assert ("training", "42.00 s", "12.00 s") in lines


def test_statistics_that_were_not_taken_have_no_row():
    rows = [MEASURED[0] | {"precise_bn_seconds": 0.0}]
    figures = time_spent.figures(rows, epoch_steps=7, batch=3)
    assert "statistics for normalisation" not in figures
    assert figures["the rest"] == "12.00 s"


def test_one_epoch_has_one_column():
    assert {len(line) for line in time_spent.compared(MEASURED[:1], 6, 3)} == {
        2
    }


def test_what_was_not_measured_is_said():
    figures = time_spent.figures([row(seconds=14.0)], epoch_steps=7, batch=3)
    assert figures["training"] == "not measured"
    assert figures["of it waiting for data"] == "not measured"
    assert figures["the rest"] == "not measured"
    assert figures["time a step"] == "2 s (validation included)"
    assert figures["examples a second"] == "1.5 (validation included)"


@pytest.mark.parametrize("lost", [None, math.nan])
def test_figures_are_of_the_epochs_that_were_measured(lost):
    rows = [row(seconds=50.0, train_seconds=lost), *MEASURED]
    figures = time_spent.figures(rows, epoch_steps=7, batch=3)
    assert figures["time in all"] == "2.0 min"
    assert figures["training"] == "42.00 s (in 2 of 3 epochs)"
    assert figures["time a step"] == "3 s (in 2 of 3 epochs)"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.125, "0.12 s"), (119, "119.00 s"), (150, "2.5 min"), (9000, "2.5 h")],
)
def test_durations_are_in_units_of_their_size(seconds, expected):
    assert time_spent.duration(seconds) == expected
