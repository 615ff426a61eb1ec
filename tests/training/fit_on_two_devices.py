"""Train with `fit` on batches of videos; see test_devices.py."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from nonlocal_tf.layers import BatchNormalization
from nonlocal_tf.preprocess import normalize
from tests.training.data.small_datasets import SMALL, load_classes
from training.data import datasets
from training.data.data_config import DataConfig
from training.loop import callbacks

BATCH = 4
AUGMENTATION = {
    "balanced": True,
    "repeats": 2,
    "time_jitter": 0.5,
    "reversal": 0.5,
    "flip_pairs": "jump:walk slowly",
    "crop_area": (0.3, 1.0),
    "color_jitter": 0.3,
    "grey": 0.5,
    "erase": 0.5,
}


def batches(videos, split, seed=3):
    return videos.batches(split, BATCH, seed=seed).map(lambda *batch: batch)


def make_model():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3, 16, 16, 3))
    # oneDNN's convolutions fail on a device without examples.
    x = keras.layers.Conv3D(3, (1, 4, 4), strides=(1, 4, 4))(inputs)
    x = keras.layers.Dense(5)(keras.layers.Flatten()(x))
    x = BatchNormalization(synchronized=True)(x)
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    model.compile(
        keras.optimizers.SGD(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    return model


def fit(videos, strategy, folder, epochs, in_scope=False):
    """Train, resuming from a folder; return weights and history."""
    data = [batches(videos, split) for split in ("train", "validation")]
    with strategy.scope():
        if in_scope:
            data = [batches(videos, split) for split in ("train", "validation")]
        model = make_model()
    train, validation = data
    history = model.fit(
        train,
        validation_data=validation,
        epochs=epochs,
        callbacks=[
            callbacks.MovingAverage(0.75),
            callbacks.PreciseBatchNorm(batches(videos, "train", 7)),
            callbacks.ExactResume(folder, videos),
        ],
        shuffle=False,
        verbose=0,
    )
    assert model.optimizer.iterations.numpy() == 4 * epochs
    return model.get_weights(), history.history


def without_callbacks(videos, strategy):
    """Train two epochs; return the weights."""
    with strategy.scope():
        model = make_model()
    train = batches(videos, "train")
    model.fit(train, epochs=2, shuffle=False, verbose=0)
    return model.get_weights()


def check_odd_batches(videos, strategy):
    """Compare the loss of batches that devices cannot share with a loop."""
    with strategy.scope():
        model = make_model()
        model.compile(
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=["accuracy"],
            jit_compile=False,
        )
    losses, right = [], []
    for pixels, label in videos.ordered_examples("test"):
        logits = np.array(model(normalize(pixels[None])))[0]
        losses.append(np.log(np.exp(logits).sum()) - logits[int(label)])
        right.append(logits.argmax() == int(label))
    for batch in (1, 3):
        scores = model.evaluate(videos.batches("test", batch), verbose=0)
        expected = [np.mean(losses), np.mean(right)]
        np.testing.assert_allclose(scores, expected, rtol=1e-5)


def check(two_devices, folder):
    videos = load_classes(folder)
    one_device = tf.distribute.get_strategy()
    for got, want in zip(
        without_callbacks(videos, two_devices),
        without_callbacks(videos, one_device),
        strict=True,
    ):
        np.testing.assert_allclose(got, want, atol=1e-5)
    expected, expected_history = fit(videos, one_device, folder / "one", 2)
    fit(videos, two_devices, folder / "two", 1)
    weights, history = fit(videos, two_devices, folder / "two", 2, True)
    for got, want in zip(weights, expected, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)
    for name, values in expected_history.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-4)
    check_odd_batches(videos, two_devices)


def check_augmented(two_devices, folder):
    """Compare weights after an epoch of augmented and mixed clips."""
    root = folder / "data"
    if not root.exists():  # those of `check`
        load_classes(folder)
    sampling = dataclasses.replace(SMALL, **AUGMENTATION)
    videos = datasets.load("folder", DataConfig(str(root)), sampling)
    weights: list = []
    for strategy in (tf.distribute.get_strategy(), two_devices):
        with strategy.scope():
            model = make_model()
            loss = keras.losses.CategoricalCrossentropy(from_logits=True)
            model.compile(keras.optimizers.SGD(0.01), loss, jit_compile=False)
            batches = videos.batches("train", BATCH, mixup=0.8, cutmix=1.0)
        start = model.get_weights()
        model.fit(batches, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for got, want in zip(*weights, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)
    assert np.abs(weights[0][0] - start[0]).max() > 1e-3
