"""Weight storage of a SavedModel: float32, bfloat16 or int8.

Weights are converted to float32 before use: this saves disk space, download
and memory, not time.
"""

import argparse
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from nonlocal_tf.choices import unknown

from ..io.user_error import UserError

DTYPES = ("float32", "bfloat16", "int8")
MAX_INT8 = 127  # symmetric quantization


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add the option `--quantize`."""
    parser.add_argument(
        "--quantize",
        choices=DTYPES[1:],
        default="float32",
        help="store the weights in half or a quarter of the space; they are "
        "converted to float32 before use",
    )


class StoredVariable:
    """Stored form of a variable.

    It is not a `tf.Module`, which would save the Keras variable too.

    Args:
        variable: of a Keras model.
        dtype: one of `DTYPES`; only kernels are stored in less than float32.

    Attributes:
        variable: the same.
        kept: the stored value.
        scale: scale of each output channel for int8, else None.
    """

    def __init__(self, variable: keras.Variable, dtype: str):
        self.variable = variable
        self.scale = None
        value = keras.ops.convert_to_numpy(variable)
        is_kernel = value.ndim > 1 and value.dtype == np.float32
        if dtype == "float32" or not is_kernel:
            self.kept = variable.value
        elif dtype == "bfloat16":
            self.kept = tf.Variable(tf.cast(value, tf.bfloat16))
        else:
            scale = _scales(value)
            self.scale = tf.Variable(scale)
            self.kept = tf.Variable(
                np.rint(value / scale).astype(np.int8), dtype=tf.int8
            )

    def value(self):
        """Return the float32 value, up to quantization."""
        if self.kept is self.variable.value:
            return tf.convert_to_tensor(self.kept)
        value = tf.cast(self.kept, tf.float32)
        return value if self.scale is None else value * self.scale


def quantize(
    variables: Sequence[keras.Variable], dtype: str
) -> list[StoredVariable]:
    """Convert variables to their stored form.

    Raises:
        UserError: there is no such dtype.
    """
    if dtype not in DTYPES:
        raise UserError(unknown("dtype of weights", dtype, DTYPES))
    return [StoredVariable(variable, dtype) for variable in variables]


def with_stored_values(
    kept: Sequence[StoredVariable], function: Callable
) -> Callable:
    """Wrap a function so that the variables have their stored values."""

    def run(*inputs):
        values = [(stored.variable, stored.value()) for stored in kept]
        with keras.StatelessScope(state_mapping=values):
            return function(*inputs)

    return run


def _scales(value: np.ndarray) -> np.ndarray:
    """Compute scales per output channel, the last axis."""
    axes = tuple(range(value.ndim - 1))
    largest = np.abs(value).max(axis=axes, keepdims=True)
    return np.where(largest > 0, largest / MAX_INT8, 1).astype(np.float32)
