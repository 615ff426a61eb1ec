"""Gather rows of each example of a batch."""

from keras import ops

from nonlocal_tf.typing import Tensor


def rows(x: Tensor, places: Tensor) -> Tensor:
    """Gather rows of each example.

    Args:
        x: `(batch, n, ...)`.
        places: integers `(batch, ...)`, from 0 to n - 1.

    Returns:
        The shape of `places`, then that of a row.
    """
    shape = ops.shape(places)
    batch, n, *row = ops.shape(x)
    first = ops.arange(batch, dtype="int32") * n
    first = ops.reshape(first, (-1, *(1 for _ in shape[1:])))
    flat = ops.reshape(x, (batch * n, *row))
    return ops.take(flat, ops.cast(places, "int32") + first, axis=0)
