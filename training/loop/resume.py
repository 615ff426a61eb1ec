"""Resumed training: the steps that remain after a checkpoint, by `fit`."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import keras

from ..io import progress
from .checkpointing import Checkpoint
from .epoch_plan import EpochPlan
from .preemption import sigterm


class Batches(Protocol):
    """Batches that `fit` takes."""

    def for_training(self, first_step: int, last_step: int) -> Any:
        """Return the batches of steps `first_step` to `last_step` - 1."""

    def for_validation(self) -> Any:
        """Return the validation batches; None without validation in `fit`."""


def fit(
    trainer: keras.Model,
    batches: Batches,
    plan: EpochPlan,
    history: list[dict],
    start: Checkpoint | None,
    callbacks: Sequence[keras.callbacks.Callback],
    is_stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Train the remaining steps of a run.

    Args:
        trainer: compiled, with the state of the checkpoint.
        batches: of training and validation.
        plan: of the run.
        history: rows of the finished epochs; a callback appends to it.
        start: the checkpoint to resume from; None for a new run.
        callbacks: of Keras.
        is_stopped: whether early stopping has ended the training.

    Raises:
        Preempted: the process was asked to stop, and the run is saved.
    """

    def fit_epochs(
        epoch: int, epochs: int, first_step: int, last_step: int
    ) -> None:
        trainer.fit(
            batches.for_training(first_step, last_step),
            initial_epoch=epoch,
            epochs=epochs,
            steps_per_epoch=(last_step - first_step) // (epochs - epoch),
            validation_data=batches.for_validation(),
            callbacks=list(callbacks),
            shuffle=False,  # the batches decide the order
            verbose=0,  # `ShowTraining` does it
        )

    fit_remaining(fit_epochs, plan, history, start, is_stopped)


def fit_remaining(
    fit_epochs: Callable[[int, int, int, int], None],
    plan: EpochPlan,
    history: list[dict],
    start: Checkpoint | None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Call `fit` for the remaining epochs, an interrupted one first.

    Args:
        fit_epochs: trains from an epoch to before another, from a step of the
            run to before another, all its epochs with equally many steps.
        plan: of the run.
        history: rows of the finished epochs; grows during `fit_epochs`.
        start: the checkpoint to resume from; None for a new run.
        is_stopped: whether early stopping has ended the training.
    """

    def fit_until(epoch: int, step: int = 0) -> None:
        first = len(history)
        if first < epoch and not is_stopped():
            first_step = plan.steps_after(first) + step
            fit_epochs(first, epoch, first_step, plan.steps_after(epoch))

    try:
        with sigterm.deferred():
            # All epochs of a `fit` have as many steps. The rest of an
            # interrupted epoch has fewer, and the last epoch may have.
            if start is not None and start.step:
                fit_until(len(history) + 1, start.step)
            fit_until(plan.steps // plan.epoch_steps)
            fit_until(plan.epochs)
    finally:
        progress.erase()  # nothing is printed over the progress line
