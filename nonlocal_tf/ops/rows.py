"""Rows of a batched matrix, chosen by batched indices."""

from keras import ops

from nonlocal_tf.typing import Tensor


def take_rows(x: Tensor, index: Tensor) -> Tensor:
    """Picks rows in each example.

    Args:
        x: `(batch, n, ...)`.
        index: int32 row numbers, `(batch, k)`, each from 0 to n - 1.

    Returns:
        `(batch, k, ...)`, where row j of example i is `x[i, index[i, j]]`.
    """
    batch, n, *rest = ops.shape(x)
    flat = ops.reshape(index + first_rows(batch, n), (-1,))
    rows = ops.take(ops.reshape(x, (-1, *rest)), flat, axis=0)
    return ops.reshape(rows, (batch, ops.shape(index)[1], *rest))


def invert_permutation(order: Tensor) -> Tensor:
    """The inverse of each row of `(batch, n)`: `inverse[order[k]] = k`."""
    batch, n = ops.shape(order)
    flat = ops.reshape(order + first_rows(batch, n), (-1, 1))
    ranks = ops.zeros((batch, 1), "int32") + ops.arange(n, dtype="int32")
    inverse = ops.scatter(flat, ops.reshape(ranks, (-1,)), (batch * n,))
    return ops.reshape(inverse, (batch, n))


def first_rows(batch: int | Tensor, n: int | Tensor) -> Tensor:
    """Where each example starts, laid out flat: `(batch, 1)`."""
    return ops.expand_dims(ops.arange(batch, dtype="int32"), 1) * n
