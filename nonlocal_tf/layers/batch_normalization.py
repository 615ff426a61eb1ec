"""Batch normalisation with the paper's constants."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from nonlocal_tf.typing import Tensor


@keras.saving.register_keras_serializable("nonlocal_tf")
class BatchNormalization(layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, open to a fused kernel for training.

    In training its value, gradients and moving statistics are a dozen passes
    over memory. Frameworks have kernels that do it in a few, but Keras calls
    none of them, and this package none but Keras. Whoever has one sets
    `train_kernel`; the layer computes the same without it.

    Args:
        momentum: share of the old value in the moving statistics.
        epsilon: added to the variance.
        **kwargs: of `keras.layers.BatchNormalization`.

    Attributes:
        train_kernel: None, or a function of `(x, gamma, beta, epsilon)`, x of
            shape `(..., channels)` and any float dtype, that gives x
            normalised by its own statistics, the mean and the (biased)
            variance a channel. It is not saved. Without gamma or beta, with a
            mask, or on another axis than the last, it is not used.

    Call arguments:
        x: `(..., channels)`.
        training: whether to use the batch's statistics.

    Returns:
        A tensor of the shape of `x`.
    """

    def __init__(
        self, momentum: float = 0.9, epsilon: float = 1e-5, **kwargs: Any
    ):
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)
        self.train_kernel: Callable | None = None

    def call(
        self,
        inputs: Tensor,
        training: bool | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        in_training = training and self.trainable and not self.synchronized
        is_plain = mask is None and self.axis in (-1, inputs.ndim - 1)
        is_plain = is_plain and self.center and self.scale
        if self.train_kernel is None or not (in_training and is_plain):
            return super().call(inputs, training=training, mask=mask)
        y, *statistics = self.train_kernel(
            inputs, self.gamma.value, self.beta.value, self.epsilon
        )
        moving = (self.moving_mean, self.moving_variance)
        for old, new in zip(moving, statistics, strict=True):
            new = ops.cast(new, old.dtype)
            old.assign(old * self.momentum + new * (1.0 - self.momentum))
        return ops.cast(y, self.compute_dtype)
