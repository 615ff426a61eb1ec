"""Dtype in which affinities are computed."""

import keras
import numpy as np
from keras import ops

from nonlocal_tf.typing import Tensor

HALF_PRECISION = ("float16", "bfloat16")


def at_least_float32(x: Tensor) -> Tensor:
    """Cast half precision up to float32; keep float32 and float64.

    An unscaled `theta . phi` over some hundred channels overflows float16, and
    a softmax loses its small weights in bfloat16, so every pairwise function
    computes on the result of this function and casts back at its end. Keras
    multiplies float64 matrices in float32 on PyTorch, and on JAX by default.

    Args:
        x: tensor or NumPy array.

    Returns:
        A tensor: PyTorch cannot mix tensors and arrays in its operators.
    """
    if isinstance(x, np.ndarray):
        x = ops.convert_to_tensor(x)
    if keras.backend.standardize_dtype(x.dtype) in HALF_PRECISION:
        return ops.cast(x, "float32")
    return x
