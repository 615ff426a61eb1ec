"""Checks that a detector's outputs are finite, in graphs too."""

import contextlib
from collections.abc import Iterator
from typing import TypeVar

import tensorflow as tf  # noqa: TID251, keras.ops has no assertions

Structure = TypeVar("Structure")  # of tensors
NOT_FINITE = "The outputs are not finite"


class NonFiniteOutputsError(ValueError):
    """A detector's outputs are not finite: its weights are to blame."""


def check_finite(outputs: Structure, head: str) -> Structure:
    """Return the outputs of a head, checked when they are computed.

    Args:
        outputs: a structure of tensors.
        head: its name, for the message.

    Raises:
        tf.errors.InvalidArgumentError: a number is not finite. Within
            `non_finite_errors` it becomes a `NonFiniteOutputsError`.
    """
    tensors = tf.nest.flatten(outputs)
    are_finite = [tf.reduce_all(tf.math.is_finite(x)) for x in tensors]
    check = tf.debugging.Assert(
        tf.reduce_all(are_finite), [f"{NOT_FINITE} ({head})"]
    )
    with tf.control_dependencies([check]):
        tensors = [tf.identity(x) for x in tensors]
    return tf.nest.pack_sequence_as(outputs, tensors)


@contextlib.contextmanager
def non_finite_errors() -> Iterator[None]:
    """Raise `NonFiniteOutputsError` where `check_finite` fails."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        if NOT_FINITE not in error.message:
            raise
        raise NonFiniteOutputsError(NOT_FINITE) from error
