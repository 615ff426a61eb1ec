"""Batch normalization with the paper's constants, and its affine form."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import initializers, layers, ops

from nonlocal_tf.ops import at_least_float32
from nonlocal_tf.typing import Shape, Tensor


@keras.saving.register_keras_serializable("nonlocal_tf")
class Affine(layers.Layer):
    """Scale and shift each channel: y = gamma x + beta.

    This is batch normalization with fixed statistics; the authors' models for
    long clips use it instead of batch normalization.

    Args:
        gamma_initializer: initializer of gamma.
        beta_initializer: initializer of beta.
        frozen: never train gamma and beta, whatever `trainable` is.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        x: `(..., channels)`.

    Returns:
        A tensor of the shape of `x`.

    Reference:
        Wang et al., Non-local Neural Networks, CVPR 2018, section 4.1.

    Example:

    >>> import keras
    >>> from nonlocal_tf.layers import Affine
    >>> tuple(Affine()(keras.ops.ones((2, 5, 3))).shape)
    (2, 5, 3)
    """

    def __init__(
        self,
        gamma_initializer: str | dict | initializers.Initializer = "ones",
        beta_initializer: str | dict | initializers.Initializer = "zeros",
        frozen: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_initializer = initializers.get(beta_initializer)
        self.frozen = frozen

    def build(self, input_shape: Shape) -> None:
        # autocast=False: the gradients are sums over all positions, which
        # overflow float16.
        self.gamma, self.beta = (
            self.add_weight(
                name=name,
                shape=(input_shape[-1],),
                initializer=initializer,
                trainable=not self.frozen,
                autocast=False,
            )
            for name, initializer in (
                ("gamma", self.gamma_initializer),
                ("beta", self.beta_initializer),
            )
        )

    def call(self, x: Tensor) -> Tensor:
        wide = at_least_float32(x)
        gamma, beta = (ops.cast(w, wide.dtype) for w in (self.gamma, self.beta))
        return ops.cast(wide * gamma + beta, x.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "frozen": self.frozen,
        }


@keras.saving.register_keras_serializable("nonlocal_tf")
class BatchNormalization(layers.BatchNormalization):
    """`keras.layers.BatchNormalization` that can use a fused training kernel.

    In training, Keras' layer takes a dozen passes over memory for its value,
    gradients and moving statistics. A framework's fused kernel takes fewer;
    set it as `train_kernel`. The layer computes the same without it.

    Args:
        momentum: share of the old value in the moving statistics.
        epsilon: added to the variance.
        **kwargs: as for `keras.layers.BatchNormalization`.

    Attributes:
        train_kernel: None, or a function of `(x, gamma, beta, epsilon)`, with x
            of shape `(..., channels)` and any float dtype, that returns x
            normalized by its own statistics, the mean and the (biased)
            variance of each channel. It is not saved. It is not used without
            gamma or beta, with a mask, with synchronized statistics or on an
            axis other than the last.

    Call arguments:
        inputs: `(..., channels)`.
        training: use the batch's statistics, and update the moving ones.

    Returns:
        A tensor of the shape of `inputs`.
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
        uses_batch = training and self.trainable and not self.synchronized
        is_plain = mask is None and self.axis in (-1, inputs.ndim - 1)
        is_plain = is_plain and self.center and self.scale
        if self.train_kernel is None or not (uses_batch and is_plain):
            return super().call(inputs, training=training, mask=mask)
        y, *statistics = self.train_kernel(
            inputs, self.gamma.value, self.beta.value, self.epsilon
        )
        moving = (self.moving_mean, self.moving_variance)
        for old, new in zip(moving, statistics, strict=True):
            new = ops.cast(new, old.dtype)
            old.assign(old * self.momentum + new * (1.0 - self.momentum))
        return ops.cast(y, self.compute_dtype)


def gain_and_shift(norm: layers.Layer) -> tuple[np.ndarray, np.ndarray]:
    """Compute gain and shift of a normalization in inference.

    In inference a normalization is y = gain x + shift.

    Args:
        norm: built `Affine` or `keras.layers.BatchNormalization`.

    Returns:
        `(gain, shift)`, float64 arrays of shape `(channels,)`.
    """
    weights = {w.name: np.asarray(w, "float64") for w in norm.weights}
    if isinstance(norm, Affine):
        return weights["gamma"], weights["beta"]
    variance = weights["moving_variance"]
    gain = weights.get("gamma", 1.0) / np.sqrt(variance + norm.epsilon)
    return gain, weights.get("beta", 0.0) - gain * weights["moving_mean"]
