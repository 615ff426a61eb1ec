"""Statistics of batch normalisation from many batches, instead of a decay.

In training a normalisation keeps a moving average of the statistics of the
last dozens of batches, while weights change under it. Before each test the
authors take them anew, for the weights as they are, from 200 batches: with B
the mean over batches and devices, mean = B(mean_b) and variance =
B(variance_b + mean_b^2) - mean^2.

Reference:
    Wu and Johnson, Rethinking "Batch" in BatchNorm, 2021, section 3.
"""

import contextlib

import keras
import numpy as np
import tensorflow as tf
from keras import layers


class PreciseBatchNorm:
    """Takes the statistics of a model's normalisations anew.

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
        """Replaces the statistics by those of all batches together.

        Args:
            batches: (clips, ...) as the model is fed in training.
        """
        if not self._layers:
            return
        means: list = [0.0] * len(self._layers)
        squares: list = [0.0] * len(self._layers)
        count = 0
        with _last_batch_alone(self._layers):
            for data in batches:
                self._forward(data)
                count += 1
                for i, layer in enumerate(self._layers):
                    mean, square = _moments(layer)
                    means[i] += mean
                    squares[i] += square
        for layer, mean, square in zip(
            self._layers, means, squares, strict=True
        ):
            mean, square = mean / count, square / count
            layer.moving_mean.assign(mean.astype("float32"))
            variance = np.maximum(square - mean**2, 0.0)
            layer.moving_variance.assign(variance.astype("float32"))

    def _on_devices(self, data):
        strategy = self._model.distribute_strategy
        strategy.run(lambda part: self._model(part[0], training=True), (data,))


@contextlib.contextmanager
def _last_batch_alone(normalisations):
    """Lets moving statistics be those of the last batch.

    With a kernel of ours, the variance is replaced by the second moment,
    whose mean over devices is that of all their examples.
    """
    before = [(layer.momentum, _kernel(layer)) for layer in normalisations]
    for layer, (_, kernel) in zip(normalisations, before, strict=True):
        layer.momentum = 0.0
        if kernel is not None:
            layer.train_kernel = _with_second_moment(kernel)
    try:
        yield
    finally:
        for layer, (momentum, kernel) in zip(
            normalisations, before, strict=True
        ):
            layer.momentum = momentum
            if kernel is not None:
                layer.train_kernel = kernel


def _kernel(layer):
    """The kernel that a layer trains with, or None."""
    return None if layer.synchronized else getattr(layer, "train_kernel", None)


def _with_second_moment(kernel):
    def kernel_with_second_moment(*arguments):
        y, mean, variance = kernel(*arguments)
        return y, mean, variance + mean**2

    return kernel_with_second_moment


def _moments(layer):
    """Mean and mean square of what a layer saw last, in float64."""
    mean = keras.ops.convert_to_numpy(layer.moving_mean).astype("float64")
    second = keras.ops.convert_to_numpy(layer.moving_variance)
    second = second.astype("float64")
    if _kernel(layer) is None:
        second += mean**2
    return mean, second
