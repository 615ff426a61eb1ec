"""Detector training on two devices; run by test_detector_trainer.py."""

import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

from nonlocal_tf.detection import MaskRCNN
from tests.training.tasks import small_detector
from training.loop import optimizers
from training.loop.train_step import Signals

STEPS = 4


def sgd():
    return optimizers.SGD(
        0.01, 0.9, 1e-4, nesterov=False, bias_l2=False, bias_rate=2.0
    )


def two_devices(folder, with_fit):
    """Check that losses and weights equal those of one device."""
    cpus = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpus[0], [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
    )
    annotations = small_detector.data_in(folder)
    one_device = small_detector.trainer(sgd())
    start_weights = [
        np.asarray(v).copy() for v in one_device.trainable_variables
    ]
    expected = small_detector.fit(one_device, annotations, 0, STEPS)
    signals = Signals()
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        two_devices_trainer = small_detector.trainer(sgd(), signals)
    history = small_detector.fit(two_devices_trainer, annotations, 0, STEPS)
    for name, value in expected.items():
        # Sums of float32 in another order, through four steps.
        np.testing.assert_allclose(
            history[name], value, rtol=1e-4, err_msg=name
        )
    if with_fit:
        assert_plain_fit_equals(history, strategy, annotations)
    moved = 0
    for start, weight, weight_of_two in zip(
        start_weights,
        one_device.trainable_variables,
        two_devices_trainer.trainable_variables,
        strict=True,
    ):
        weight, weight_of_two = np.asarray(weight), np.asarray(weight_of_two)
        np.testing.assert_allclose(weight_of_two, weight, atol=1e-5, rtol=1e-4)
        moved = max(moved, np.abs(weight - start).max())
    assert moved > 1e-3


def assert_plain_fit_equals(expected, strategy, annotations):
    """Check that `fit` of the detector itself has the same losses."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        detector = MaskRCNN(small_detector.CONFIG)
        detector.compile(sgd(), sampling=small_detector.TRAINING)
    history = detector.fit(
        small_detector.batches_of(annotations, 0, STEPS),
        shuffle=False,
        verbose=0,
    ).history
    for name, value in expected.items():
        np.testing.assert_allclose(
            history[name], value, rtol=1e-4, err_msg=name
        )


def main(folder, *with_fit):
    two_devices(pathlib.Path(folder), bool(with_fit))
    print("as expected")


if __name__ == "__main__":
    main(*sys.argv[1:])
