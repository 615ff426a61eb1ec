"""Steps of a run by call of `fit`."""

import pytest

from training.loop import resume
from training.loop.checkpointing import Checkpoint
from training.loop.epoch_plan import EpochPlan

PLAN = EpochPlan(steps=23, epoch_steps=5)


def calls_of(epochs, step, plan=PLAN):
    """The (epoch, until, first step, last step) of each `fit`."""
    history = [{}] * epochs
    start = Checkpoint(None, epochs, history, step) if epochs or step else None
    calls = []

    def fit_epochs(*call):
        calls.append(call)
        history.extend([{}] * (call[1] - call[0]))

    resume.fit_remaining(fit_epochs, plan, history, start)
    return calls


@pytest.mark.parametrize(
    ("epochs", "step", "expected"),
    [
        (0, 0, [(0, 4, 0, 20), (4, 5, 20, 23)]),
        (2, 0, [(2, 4, 10, 20), (4, 5, 20, 23)]),
        (2, 3, [(2, 3, 13, 15), (3, 4, 15, 20), (4, 5, 20, 23)]),
        (3, 1, [(3, 4, 16, 20), (4, 5, 20, 23)]),
        (4, 2, [(4, 5, 22, 23)]),
        (5, 0, []),
    ],
)
def test_every_step_that_is_left_is_taken_once(epochs, step, expected):
    assert calls_of(epochs, step) == expected


def test_epochs_of_equal_length_are_one_fit():
    assert calls_of(0, 0, EpochPlan(20, 5)) == [(0, 4, 0, 20)]


def test_a_run_may_be_shorter_than_an_epoch():
    assert calls_of(0, 0, EpochPlan(3, 5)) == [(0, 1, 0, 3)]
