"""A scale and a shift a channel: batch normalisation without the batch."""

from typing import Any

import keras
import numpy as np
from keras import initializers, layers, ops

from nonlocal_tf.ops import at_least_float32
from nonlocal_tf.typing import Shape, Tensor


@keras.saving.register_keras_serializable("nonlocal_tf")
class Affine(layers.Layer):
    """y = gamma x + beta, each a number a channel.

    What is left of a batch normalisation whose statistics are fixed; the
    authors' long-clip models use it in place of one.

    Args:
        gamma_initializer: of gamma.
        beta_initializer: of beta.
        frozen: gamma and beta are never trained, whatever `trainable` says:
            what is left of a batch normalisation stays as it was loaded.
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
        # autocast=False: their gradients are sums over all positions, which
        # float16 does not hold.
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


def gain_and_shift(norm: layers.Layer) -> tuple[np.ndarray, np.ndarray]:
    """What a normalisation does in inference: y = gain x + shift.

    Args:
        norm: a built `Affine` or `keras.layers.BatchNormalization`.

    Returns:
        Two arrays of float64, `(channels,)`.
    """
    weights = {w.name: np.asarray(w, "float64") for w in norm.weights}
    if isinstance(norm, Affine):
        return weights["gamma"], weights["beta"]
    variance = weights["moving_variance"]
    gain = weights.get("gamma", 1.0) / np.sqrt(variance + norm.epsilon)
    return gain, weights.get("beta", 0.0) - gain * weights["moving_mean"]
