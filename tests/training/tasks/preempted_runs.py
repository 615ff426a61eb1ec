"""Runs that are preempted after their first step, and resumed."""

import numpy as np

from training import train
from training.loop import checkpointing, run_callbacks
from training.loop.preemption import sigterm
from training.runs.run_folder import RunFolder


def train_until_preempted(options, monkeypatch):
    """Start a training, which is told to stop after its first step."""
    after_batch = run_callbacks.SaveCheckpoints.on_train_batch_end

    def preempt(self, batch, logs=None):
        sigterm.requested = True
        after_batch(self, batch, logs)

    with monkeypatch.context() as patch:
        name = "on_train_batch_end"
        patch.setattr(run_callbacks.SaveCheckpoints, name, preempt)
        train.main(options)


def assert_same_end(run, expected):
    """Check that the last checkpoints of two run folders are equal."""
    first, second = (
        checkpointing.latest(RunFolder(path).checkpoints)
        for path in (run, expected)
    )
    for kind in ("variable", "average"):
        for array, expected_array in zip(
            checkpointing.read_arrays(first, kind),
            checkpointing.read_arrays(second, kind),
            strict=True,
        ):
            np.testing.assert_array_equal(array, expected_array)
