"""Values and gradients of a function in every execution mode."""

import keras
import numpy as np
import pytest

BACKEND = keras.backend.backend()
MODES = {
    "tensorflow": ("eager", "graph", "unknown shapes", "xla"),
    "jax": ("jit",),  # eager JAX compiles each operation, which is slowest
    "torch": ("eager",),
}[BACKEND]
# The compiled mode.
COMPILED = MODES[-1]


def with_modes(options):
    """Pair all options with the first mode, and the last with each other."""
    return [(MODES[0], *option) for option in options] + [
        (mode, *options[-1]) for mode in MODES[1:]
    ]


float64 = pytest.mark.skipif(
    BACKEND != "tensorflow",
    reason="Keras computes in float32: a global switch of JAX, "
    "and the products of matrices on PyTorch",
)


def unknown_batch_and_positions(x):
    """Shape of `x` with the first two axes unknown."""
    return (None, None, *x.shape[2:])


def value_and_gradients(
    function, arrays, dy, mode, unknown_shape=unknown_batch_and_positions
):
    """Compute y, and the gradient of sum(y * dy) by each array.

    Also checks that y has the dtype of dy.

    Args:
        function: function of the arrays to y, in `keras.ops`.
        arrays: NumPy arrays; `bfloat16` is that of ml_dtypes.
        dy: NumPy array of the shape and dtype of y.
        mode: one of `MODES`; PyTorch has one, and takes no notice.
        unknown_shape: function of an array to its shape with unknown axes.

    Returns:
        NumPy arrays; half precision is converted to float32, which is exact.
    """
    if BACKEND == "jax":
        results = _jax(function, arrays, dy, mode)
    elif BACKEND == "torch":
        results = _torch(function, arrays, dy)
    else:
        results = _tensorflow(function, arrays, dy, mode, unknown_shape)
    dtype = keras.backend.standardize_dtype(results[0].dtype)
    assert dtype == keras.backend.standardize_dtype(dy.dtype)
    return [
        keras.ops.convert_to_numpy(keras.ops.cast(x, _at_least_float32(x)))
        for x in results
    ]


def _at_least_float32(x):
    dtype = keras.backend.standardize_dtype(x.dtype)
    return "float64" if dtype == "float64" else "float32"


def _tensorflow(function, arrays, dy, mode, unknown_shape):
    import tensorflow as tf

    def run(dy, *arrays):
        with tf.GradientTape() as tape:
            tape.watch(arrays)
            y = function(*arrays)
        return y, *tape.gradient(y, arrays, output_gradients=dy)

    tensors = [tf.constant(x) for x in (dy, *arrays)]
    if mode == "unknown shapes":
        signature = [
            tf.TensorSpec(unknown_shape(x), x.dtype) for x in (dy, *arrays)
        ]
        run = tf.function(run, input_signature=signature)
    elif mode != "eager":
        run = tf.function(run, jit_compile=mode == "xla")
    return run(*tensors)


def _jax(function, arrays, dy, mode):
    import jax

    def run(dy, *arrays):
        y, pullback = jax.vjp(function, *arrays)
        return y, *pullback(dy)

    run = jax.jit(run) if mode == "jit" else run
    return run(*(jax.numpy.asarray(x) for x in (dy, *arrays)))


def _torch(function, arrays, dy):
    dy, *tensors = (keras.ops.convert_to_tensor(x) for x in (dy, *arrays))
    for tensor in tensors:
        tensor.requires_grad = True
    y = function(*tensors)
    y.backward(dy)
    return y, *(tensor.grad for tensor in tensors)


def relative_error(x, expected):
    """Compute the largest difference relative to the largest expected value."""
    scale = np.abs(expected).max()
    return np.abs(x - expected).max() / (scale if scale > 0 else 1.0)
