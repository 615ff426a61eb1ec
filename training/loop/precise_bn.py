"""Precise batch normalization: statistics of many batches, not an average.

In training, batch normalization keeps a moving average of the statistics of
the last dozens of batches, while weights change. Before each test the authors
recompute them for the current weights, from 200 batches: with B the mean over
batches and devices, mean = B(mean_b) and variance = B(variance_b + mean_b^2) -
mean^2.

Reference:
    Wu and Johnson, Rethinking "Batch" in BatchNorm, 2021, section 3.
"""

import contextlib

import keras
import numpy as np
import tensorflow as tf
from keras import layers


class BatchNormStatistics:
    """Computes the statistics of a model's batch normalization layers.

    Args:
        model: it is run in training mode, and not updated.
    """

    def __init__(self, model: keras.Model):
        self._model = model
        self._layers = [
            layer
            for layer in model._flatten_layers()
            if isinstance(layer, layers.BatchNormalization) and layer.trainable
        ]
        self._forward = tf.function(self._on_devices, autograph=False)

    def __call__(self, batches) -> None:
        """Replace the statistics by those of all batches together.

        Args:
            batches: (clips, ...) as the model is fed in training.
        """
        if not self._layers:
            return
        for layer in self._layers:  # 0 times what is no number is none either
            layer.moving_mean.assign(tf.zeros_like(layer.moving_mean))
            layer.moving_variance.assign(tf.ones_like(layer.moving_variance))
        total: list = [0.0] * len(self._layers)
        count = 0
        with _last_batch_alone(self._layers):
            for data in batches:
                moments = [m.numpy() for m in self._forward(data)]
                total = [t + m for t, m in zip(total, moments, strict=True)]
                count += 1
        for layer, (mean, square) in zip(
            self._layers, [t / count for t in total], strict=True
        ):
            layer.moving_mean.assign(mean.astype("float32"))
            variance = np.maximum(square - mean**2, 0.0)
            layer.moving_variance.assign(variance.astype("float32"))

    def _on_devices(self, data):
        """Return mean and mean square of each layer's inputs, over devices."""
        strategy = self._model.distribute_strategy
        moments = strategy.run(self._on_device, (data,))
        return [strategy.experimental_local_results(m)[0] for m in moments]

    def _on_device(self, data):
        self._model(data[0], training=True)
        moments = []
        for layer in self._layers:
            mean = tf.cast(layer.moving_mean.value, tf.float64)
            variance = tf.cast(layer.moving_variance.value, tf.float64)
            moments.append(tf.stack([mean, variance + mean**2]))
        return tf.distribute.get_replica_context().all_reduce("MEAN", moments)


@contextlib.contextmanager
def _last_batch_alone(normalisations):
    """Let moving statistics be those of the last batch."""
    before = [layer.momentum for layer in normalisations]
    for layer in normalisations:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(normalisations, before, strict=True):
            layer.momentum = momentum
