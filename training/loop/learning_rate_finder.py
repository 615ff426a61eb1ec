"""Learning-rate range test: the loss of a few steps at rising rates.

Reference:
    Smith, Cyclical learning rates for training neural networks, WACV 2017.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

STEPS = 60
# A test ends where the loss is this many times the least so far.
DIVERGED = 4.0
WINDOW = 10  # steps that a loss is averaged over


def rising_rate(
    low: float, high: float, steps: int = STEPS
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return a schedule that rises by the same factor in each step.

    Args:
        low: rate of the first step.
        high: rate of the last.
        steps: number of steps, at least 2.
    """
    return keras.optimizers.schedules.ExponentialDecay(
        low, decay_steps=steps - 1, decay_rate=high / low
    )


def range_test(
    trainer: Any, batches: Iterable, low: float, high: float, steps: int = STEPS
) -> tuple[list[float], list[float]]:
    """Train a new trainer at rising rates; its weights do not stay.

    Args:
        trainer: compiled, of which no step has run.
        batches: of training, for all steps.
        low: rate of the first step.
        high: rate of the last.
        steps: number of steps, at least 2.

    Returns:
        Rates, and the loss of each step before its update; fewer than `steps`
        if the loss diverges.
    """
    trainer.optimizer.learning_rate = rising_rate(low, high, steps)
    trainer._maybe_symbolic_build()
    step = trainer.make_train_function(force=True)
    iterator = iter(batches)
    losses: list[float] = []
    for _ in range(steps):
        trainer.reset_metrics()  # the loss would be the mean of all steps
        loss = float(step(iterator)["loss"])
        if not math.isfinite(loss) or loss > DIVERGED * min([loss, *losses]):
            break
        losses.append(loss)
    rates = np.geomspace(low, high, steps)[: len(losses)].tolist()
    return rates, losses


def steepest_rate(
    rates: Sequence[float], losses: Sequence[float]
) -> float | None:
    """Return the rate at which the loss falls most, by the log of the rate.

    Args:
        rates: rising by the same factor.
        losses: of the steps with these rates.

    Returns:
        The rate before which the mean loss of `WINDOW` steps is most above
        that of `WINDOW` steps after it: batches of few clips differ more than
        a step changes the loss. None if it is nowhere above, or with fewer
        losses than two windows.
    """
    if len(losses) < 2 * WINDOW:
        return None
    # Only whole windows: at the end, where it diverges, losses are few.
    means = np.convolve(losses, np.ones(WINDOW) / WINDOW, "valid")
    falls = means[:-WINDOW] - means[WINDOW:]
    index = int(np.argmax(falls))
    if falls[index] <= 0:
        return None
    return math.sqrt(rates[index + WINDOW - 1] * rates[index + WINDOW])
