"""Gather rows of a batched matrix by batched indices."""

import keras
from keras import ops

from nonlocal_tf.typing import Tensor


def take_rows(x: Tensor, index: Tensor) -> Tensor:
    """Gather rows of each example.

    Args:
        x: `(batch, n, ...)`.
        index: row numbers, `(batch, ...)`, each from 0 to n - 1.

    Returns:
        The shape of `index`, then that of a row. With `index` of shape
        `(batch, k)`, row j of example i is `x[i, index[i, j]]`.
    """
    batch, n, *row = ops.shape(x)
    index = ops.cast(index, "int32")
    offsets = row_offsets(batch, n)
    offsets = ops.reshape(offsets, (-1, *(1 for _ in index.shape[1:])))
    rows = ops.reshape(x, (-1, *row))
    if keras.backend.backend() == "jax" and not isinstance(n, int):
        # In an export JAX must know that there is a row to gather; the symbol
        # of a pooled size may be 0.
        rows = ops.concatenate([rows, ops.zeros((1, *row), x.dtype)], axis=0)
    return ops.take(rows, index + offsets, axis=0)


def invert_permutation(order: Tensor) -> Tensor:
    """Invert each row of `(batch, n)`: `inverse[order[k]] = k`."""
    batch, n = ops.shape(order)
    flat = ops.reshape(order + row_offsets(batch, n), (-1, 1))
    ranks = ops.zeros((batch, 1), "int32") + ops.arange(n, dtype="int32")
    ranks = ops.reshape(ranks, (-1,))
    if keras.backend.backend() == "torch":  # Keras' scatter is a Python loop
        inverse = ops.zeros((batch * n,), "int32")
        inverse = ops.scatter_update(inverse, flat, ranks)
    else:
        inverse = ops.scatter(flat, ranks, (batch * n,))
    return ops.reshape(inverse, (batch, n))


def row_offsets(batch: int | Tensor, n: int | Tensor) -> Tensor:
    """Index of each example's first row among all `batch * n` rows.

    Returns:
        int32, `(batch, 1)`.
    """
    return ops.expand_dims(ops.arange(batch, dtype="int32"), 1) * n
