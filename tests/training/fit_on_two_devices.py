"""Train with `fit` on batches of videos; run by test_devices.py."""

import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

from tests.training.data.small_datasets import load_classes

BATCH, EPOCHS = 4, 2


def fit(videos, batches_in_scope, strategy):
    """Train a linear network; return its weights and history."""

    def batches(split):
        return videos.batches(split, BATCH, seed=3).map(lambda x, y: (x, y))

    data = [batches(split) for split in ("train", "validation")]
    with strategy.scope():
        if batches_in_scope:
            data = [batches(split) for split in ("train", "validation")]
        keras.utils.set_random_seed(1)
        model = keras.Sequential(
            [keras.Input((3, 16, 16, 3)), keras.layers.Flatten()]
        )
        model.add(keras.layers.Dense(2))
        model.compile(
            keras.optimizers.SGD(1e-4),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            jit_compile=False,
        )
    train, validation = data
    history = model.fit(
        train,
        validation_data=validation,
        epochs=EPOCHS,
        shuffle=False,
        verbose=0,
    )
    steps = EPOCHS * int(train.cardinality())
    assert model.optimizer.iterations.numpy() == steps
    return model.get_weights(), history.history


def main(folder):
    cpus = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpus[0], [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
    )
    videos = load_classes(pathlib.Path(folder))
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    expected, expected_history = fit(
        videos, False, tf.distribute.get_strategy()
    )
    assert np.ptp(expected[0]) > 0
    for in_scope in (False, True):
        weights, history = fit(videos, in_scope, strategy)
        for got, want in zip(weights, expected, strict=True):
            np.testing.assert_allclose(got, want, atol=1e-6)
        for name, values in expected_history.items():
            np.testing.assert_allclose(history[name], values, rtol=1e-5)
    print("as expected")


if __name__ == "__main__":
    main(*sys.argv[1:])
