"""Training that is preempted after a number of steps."""

import pytest

from training import train
from training.loop import run_callbacks
from training.loop.preemption import Preempted, sigterm


def train_preempted(recipe, run, step):
    """Train until preemption is requested in a step of the run."""
    steps = []
    after_batch = run_callbacks.SaveCheckpoints.on_train_batch_end

    def ask(self, batch, logs=None):
        steps.append(batch)
        sigterm.requested = len(steps) == step
        after_batch(self, batch, logs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_callbacks.SaveCheckpoints, "on_train_batch_end", ask)
        with pytest.raises(Preempted):
            train.train(recipe, run, 0)
    sigterm.requested = False
