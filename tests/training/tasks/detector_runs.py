"""What a training of a detector comes to; run by test_detector_trainer.py."""

import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

from tests.training.tasks import small_detector
from training.loop import checkpointing, optimizers
from training.loop.train_step import Signals
from training.runs.run_folder import RunFolder

STEPS = 4


def sgd():
    return optimizers.SGD(
        0.01, 0.9, 1e-4, nesterov=False, bias_l2=False, bias_rate=2.0
    )


def two_devices(folder):
    """As on one: losses and weights after some steps, of the same samples."""
    cpus = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpus[0], [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
    )
    found = small_detector.data_in(folder)
    alone = small_detector.trainer(sgd())
    begun = [np.asarray(v).copy() for v in alone.trainable_variables]
    wanted = small_detector.fit(alone, found, 0, STEPS)
    signals = Signals()
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        both = small_detector.trainer(sgd(), signals)
    got = small_detector.fit(both, found, 0, STEPS)
    for name, value in wanted.items():
        # Sums of float32 in another order, through four steps.
        np.testing.assert_allclose(got[name], value, rtol=1e-4, err_msg=name)
    moved = 0
    for start, one, two in zip(
        begun, alone.trainable_variables, both.trainable_variables, strict=True
    ):
        one, two = np.asarray(one), np.asarray(two)
        np.testing.assert_allclose(two, one, atol=1e-5, rtol=1e-4)
        moved = max(moved, np.abs(one - start).max())
    assert moved > 1e-3


def resumed(folder):
    """To the bit as a run that was not stopped."""
    tf.config.experimental.enable_op_determinism()
    found = small_detector.data_in(folder)
    untimed = Signals(is_timed=False)
    whole = small_detector.trainer(sgd(), untimed)
    small_detector.fit(whole, found, 0, STEPS)
    first = small_detector.trainer(sgd(), untimed)
    small_detector.fit(first, found, 0, 2)
    run = RunFolder(folder / "run")
    run.checkpoints.mkdir(parents=True)
    checkpointing.save(first, run.checkpoints, [], step=2)
    second = small_detector.trainer(sgd(), untimed)
    second.detector.rpn.layers[1].kernel.assign_add(
        keras.ops.ones_like(second.detector.rpn.layers[1].kernel)
    )
    checkpointing.restore(second, checkpointing.latest(run.checkpoints))
    small_detector.fit(second, found, 2, STEPS)
    for one, two in zip(whole.variables, second.variables, strict=True):
        np.testing.assert_array_equal(one, two, err_msg=one.path)
    assert any(
        (np.asarray(one) != np.asarray(two)).any()
        for one, two in zip(first.variables, second.variables, strict=True)
    )


def main(case, folder):
    {"two_devices": two_devices, "resumed": resumed}[case](pathlib.Path(folder))
    print("as expected")


if __name__ == "__main__":
    main(*sys.argv[1:])
