"""Gate of a residual by a learned scalar."""

from typing import Any

import keras
from keras import initializers, layers

from nonlocal_tf.typing import Shape, Tensor


@keras.saving.register_keras_serializable("nonlocal_tf")
class ScalarGate(layers.Layer):
    """Multiply by a learned scalar gamma.

    Args:
        gamma_init: initial value of gamma.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        x: tensor of any shape.

    Returns:
        gamma x, of the shape of `x`.

    Reference:
        Zhang et al., Self-Attention Generative Adversarial Networks, ICML 2019,
        equation 4.
    """

    def __init__(self, gamma_init: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.gamma_init = gamma_init

    def build(self, input_shape: Shape) -> None:
        self.gamma = self.add_weight(
            name="gamma",
            shape=(),
            initializer=initializers.Constant(self.gamma_init),
        )

    def call(self, x: Tensor) -> Tensor:
        return x * self.gamma

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gamma_init": self.gamma_init}
