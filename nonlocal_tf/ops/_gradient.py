"""Functions with a gradient of their own, on all of Keras' backends."""

import functools
from collections.abc import Callable

import keras
from keras import ops

from nonlocal_tf.typing import Tensor


def custom_gradient(function: Callable) -> Callable:
    """Let a function compute its own gradient.

    TensorFlow and JAX call a gradient with `dy`, PyTorch with the inputs and
    `dy` as the keyword `upstream`: this decorator stands between.

    Args:
        function: function of tensors that returns `(y, gradient)`. `y` is one
            tensor; `gradient(dy)` returns a tuple with one tensor for each
            input.

    Returns:
        Function of the same tensors that returns `y`. On PyTorch it has no
        second derivative.
    """

    @functools.wraps(function)
    def value_and_gradient(*inputs: Tensor) -> tuple[Tensor, Callable]:
        y, gradient = function(*inputs)

        def gradient_of_backend(
            *arguments: Tensor, upstream: Tensor | None = None
        ) -> tuple[Tensor, ...]:
            dy = arguments[0] if upstream is None else upstream
            return _first_derivative(gradient(dy))

        if keras.backend.backend() == "torch":
            # PyTorch's graph holds `gradient`. Were `y` the tensor that
            # `gradient` may hold, neither would ever be freed.
            y = ops.stop_gradient(y)
        return y, gradient_of_backend

    return ops.custom_gradient(value_and_gradient)


def _first_derivative(gradients: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Refuse to let PyTorch derive gradients again: values are constants.

    Raises:
        NotImplementedError: PyTorch records the gradients' computation.
    """
    is_torch = keras.backend.backend() == "torch"
    if is_torch and any(x.requires_grad for x in gradients):
        raise NotImplementedError(
            "Expected first derivatives alone, without `create_graph`; "
            "method='plain' has second derivatives on PyTorch."
        )
    return gradients
