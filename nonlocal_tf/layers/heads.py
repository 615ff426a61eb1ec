"""Heads: channels split into parts, each with attention of its own.

The heads of a row of positions become rows that follow each other, so that a
pairwise function treats them as it treats examples.
"""

from keras import ops

from nonlocal_tf.typing import Tensor


def check_heads(heads: int, **channels: int) -> None:
    """Check that the heads divide the channels.

    Args:
        heads: number of heads.
        **channels: number of channels by the name of what has them.

    Raises:
        ValueError: they do not.
    """
    for name, count in channels.items():
        if count % heads:
            raise ValueError(
                f"Expected `heads` to divide the channels of {name}. "
                f"Received: heads={heads}, {count} channels"
            )


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Reshape `(rows, n, c)` to `(rows * heads, n, c / heads)`."""
    if heads == 1:
        return x
    rows, n, c = ops.shape(x)
    x = ops.reshape(x, (rows, n, heads, c // heads))
    x = ops.swapaxes(x, 1, 2)
    return ops.reshape(x, (rows * heads, n, c // heads))


def merge_heads(x: Tensor, heads: int) -> Tensor:
    """Reshape `(rows * heads, n, c)` to `(rows, n, heads * c)`."""
    if heads == 1:
        return x
    rows, n, c = ops.shape(x)
    x = ops.reshape(x, (rows // heads, heads, n, c))
    x = ops.swapaxes(x, 1, 2)
    return ops.reshape(x, (rows // heads, n, heads * c))


def repeat_heads(mask: Tensor | None, heads: int) -> Tensor | None:
    """Repeat a mask `(rows, m)` for the heads: `(rows * heads, m)`."""
    if mask is None or heads == 1:
        return mask
    return ops.repeat(mask, heads, axis=0)


def heads_axis(weights: Tensor, heads: int) -> Tensor:
    """Reshape `(batch, n, heads * m)` to `(batch, heads, n, m)`."""
    if heads == 1:
        return weights
    batch, n, columns = ops.shape(weights)
    weights = ops.reshape(weights, (batch, n, heads, columns // heads))
    return ops.swapaxes(weights, 1, 2)


def multiply_by_head(x: Tensor, w: Tensor) -> Tensor:
    """Multiply rows `(rows * heads, n, c)` by their head's column of w.

    Args:
        x: rows of heads, as of `split_heads`.
        w: `(c, heads)`.

    Returns:
        `(rows * heads, n)`.
    """
    heads = w.shape[1]
    if heads == 1:
        return ops.squeeze(ops.matmul(x, w), -1)
    rows, n, c = ops.shape(x)
    x = ops.reshape(x, (rows // heads, heads, n, c))
    columns = ops.expand_dims(ops.transpose(w), -1)  # (heads, c, 1)
    return ops.reshape(ops.matmul(x, columns), (rows, n))
