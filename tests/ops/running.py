"""Values and gradients of a function, in each way that users run it."""

import keras
import numpy as np

BACKEND = keras.backend.backend()
WAYS = {
    "tensorflow": ("eager", "graph", "unknown shapes", "xla"),
    "jax": ("jit",),  # eagerly it compiles each operation: by far the slowest
}[BACKEND]


def two_unknown(x):
    """All but the last axis of a (b, n, c); both of a (b, n)."""
    return (None, None, *x.shape[2:])


def value_and_gradients(function, arrays, dy, way, unknown=two_unknown):
    """[y, and the gradient of sum(y * dy) by each array], as NumPy.

    Half precision comes back in float32, which holds it exactly.

    Args:
        function: of the arrays to y, in `keras.ops`.
        arrays: NumPy; their dtypes decide, `bfloat16` by ml_dtypes.
        dy: NumPy, of the shape and dtype of y.
        way: one of `WAYS`.
        unknown: the shape that an array has when shapes are unknown.
    """
    if BACKEND == "jax":
        results = _jax(function, arrays, dy, way)
    else:
        results = _tensorflow(function, arrays, dy, way, unknown)
    return [
        np.asarray(keras.ops.cast(x, _at_least_float32(x))) for x in results
    ]


def _at_least_float32(x):
    dtype = keras.backend.standardize_dtype(x.dtype)
    return "float64" if dtype == "float64" else "float32"


def _tensorflow(function, arrays, dy, way, unknown):
    import tensorflow as tf

    def run(dy, *arrays):
        with tf.GradientTape() as tape:
            tape.watch(arrays)
            y = function(*arrays)
        return y, *tape.gradient(y, arrays, output_gradients=dy)

    tensors = [tf.constant(x) for x in (dy, *arrays)]
    if way == "unknown shapes":
        given = (dy, *arrays)
        specs = [tf.TensorSpec(unknown(x), x.dtype) for x in given]
        run = tf.function(run, input_signature=specs)
    elif way != "eager":
        run = tf.function(run, jit_compile=way == "xla")
    run(*tensors)  # the second run is the one that is looked at
    return run(*tensors)


def _jax(function, arrays, dy, way):
    import jax

    def run(dy, *arrays):
        y, pullback = jax.vjp(function, *arrays)
        return y, *pullback(dy)

    run = jax.jit(run) if way == "jit" else run
    tensors = [jax.numpy.asarray(x) for x in (dy, *arrays)]
    run(*tensors)
    return run(*tensors)


def relative_error(x, expected):
    """The largest difference, as a share of the largest expected value."""
    largest = np.abs(expected).max()
    return np.abs(x - expected).max() / (largest if largest > 0 else 1.0)
