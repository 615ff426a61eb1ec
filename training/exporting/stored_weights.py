"""Weights as a SavedModel keeps them: in full, in halves, or in bytes.

They become float32 again before anything is computed: what is saved is disk,
download and memory, not time.
"""

import argparse
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from nonlocal_tf.choices import unknown

from ..io.user_error import UserError

DTYPES = ("float32", "bfloat16", "int8")
LARGEST = 127  # of the bytes, which are symmetric


def add_option(parser: argparse.ArgumentParser) -> None:
    """Adds the option `--quantize`."""
    parser.add_argument(
        "--quantize",
        choices=DTYPES[1:],
        default="float32",
        help="keep the weights in half or a quarter of the space; they are "
        "float32 again before they are used",
    )


class Stored:
    """One variable as it is kept.

    It is no `tf.Module`, which would save the Keras variable too.

    Args:
        variable: of a Keras model.
        dtype: one of `DTYPES`; kernels alone are kept in less than float32.

    Attributes:
        variable: the same.
        kept: what is saved.
        scale: what is saved beside it, of bytes.
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
        """The variable's value, or nearly."""
        if self.kept is self.variable.value:
            return tf.convert_to_tensor(self.kept)
        value = tf.cast(self.kept, tf.float32)
        return value if self.scale is None else value * self.scale


def keep(variables: Sequence[keras.Variable], dtype: str) -> list[Stored]:
    """The variables as they are kept.

    Raises:
        UserError: there is no such dtype.
    """
    if dtype not in DTYPES:
        raise UserError(unknown("dtype of weights", dtype, DTYPES))
    return [Stored(variable, dtype) for variable in variables]


def using(kept: Sequence[Stored], function: Callable) -> Callable:
    """A function in which the models' variables have the values kept."""

    def run(*inputs):
        values = [(stored.variable, stored.value()) for stored in kept]
        with keras.StatelessScope(state_mapping=values):
            return function(*inputs)

    return run


def _scales(value: np.ndarray) -> np.ndarray:
    """Of each output channel, the last axis: its largest becomes 127."""
    axes = tuple(range(value.ndim - 1))
    largest = np.abs(value).max(axis=axes, keepdims=True)
    return np.where(largest > 0, largest / LARGEST, 1).astype(np.float32)
