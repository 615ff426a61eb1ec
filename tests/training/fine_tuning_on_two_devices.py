"""Fine-tuning on one device, on two, and preempted; run by test_devices.py."""

import pathlib
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.training import fine_tuning_runs
from tests.training.preempted import train_preempted
from training import train
from training.loop import checkpointing
from training.loop.distribution import Devices
from training.runs import run_model
from training.runs.run_folder import RunFolder

# Rounding errors are below 3e-6; weights change by 1e-3 and more a step.
BOUND = 1e-5


def state(run):
    """Return weights by name and the history; the best epoch's and the last."""
    model, *_ = run_model.load_trained(run)
    weights = {f"best {v.path}": np.asarray(v) for v in model.variables}
    checkpoint = checkpointing.latest(run.checkpoints)
    checkpointing.restore(model, checkpoint)
    weights |= {f"last {v.path}": np.asarray(v) for v in model.variables}
    rows = [
        {k: v for k, v in row.items() if not k.endswith("seconds")}
        for row in checkpoint.history
    ]
    return weights, rows, run.read_result()["epoch"]


def assert_close(run, expected):
    weights, rows, epoch = state(run)
    expected_weights, expected_rows, expected_epoch = state(expected)
    for name, array in expected_weights.items():
        # Statistics of batch normalization are of activations, up to 10.
        size = max(1.0, np.abs(array).max()) if "moving" in name else 1.0
        np.testing.assert_allclose(
            weights[name], array, rtol=0, atol=BOUND * size, err_msg=name
        )
    for row, expected_row in zip(rows, expected_rows, strict=True):
        assert row == pytest.approx(expected_row, abs=BOUND)
    assert epoch == expected_epoch


def assert_equal(run, expected):
    weights, *rest = state(run)
    expected_weights, *expected_rest = state(expected)
    for name, array in expected_weights.items():
        np.testing.assert_array_equal(weights[name], array, err_msg=name)
    assert rest == expected_rest


def main(case, folder):
    cpus = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpus[0], [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
    )
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    folder = pathlib.Path(folder)
    recipe = fine_tuning_runs.recipe(case, folder)
    one, two, stopped = (
        RunFolder(folder / name) for name in ("one", "two", "stopped")
    )
    train.train(recipe, one, 0)
    train.train(recipe, two, 0, Devices(strategy))
    assert_close(two, one)
    train_preempted(recipe, stopped, 3)
    train.train(recipe, stopped, 0)  # resumes
    assert_equal(stopped, one)
    print("as expected")


if __name__ == "__main__":
    main(*sys.argv[1:])
