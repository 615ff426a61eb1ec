"""The keys that a query attends to: a mask of the keys, and causality.

A mask, `(batch, m)`, is True for keys that count. With `steps`, queries and
keys are that many groups of consecutive positions, such as the frames of a
clip, and a query sees keys of its own group and of earlier ones.
"""

import numbers

from keras import ops

from nonlocal_tf.choices import is_positive_integer
from nonlocal_tf.typing import Tensor


def checked_mask(mask: Tensor | None, keys: Tensor) -> Tensor | None:
    """Convert a mask of keys to booleans.

    Args:
        mask: `(batch, m)` or None.
        keys: keys, or what stands for them, `(batch, m, ...)`.

    Raises:
        ValueError: the shape is not that of the keys.
    """
    if mask is None:
        return None
    shape, expected = tuple(mask.shape), tuple(keys.shape)[:2]
    fits = len(shape) == 2 and all(
        size == k or not (isinstance(size, int) and isinstance(k, int))
        for size, k in zip(shape, expected, strict=True)
    )
    if not fits:
        raise ValueError(
            "Expected `mask` to be (batch, m), True for the keys that count; "
            f"here {expected}. Received: mask of shape {shape}"
        )
    return ops.cast(mask, "bool")


def check_steps(
    steps: int | Tensor | None, n: int | Tensor, m: int | Tensor
) -> None:
    """Check that `steps` divides n and m, where they are known.

    Raises:
        ValueError: it does not, or is not an integer of at least 1.
    """
    if not isinstance(steps, (numbers.Number, str)):
        return  # None or a scalar tensor
    if not is_positive_integer(steps):
        raise ValueError(
            "Expected `steps` to be None, an integer of at least 1 or a "
            f"scalar tensor. Received: steps={steps!r}"
        )
    if any(isinstance(size, int) and size % steps for size in (n, m)):
        raise ValueError(
            "Expected `steps` to divide the numbers of queries and of keys. "
            f"Received: steps={steps}, {n} queries, {m} keys"
        )


def zero_masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """Replace the content of masked keys by zeros, before any product.

    Zero weights do not suffice: 0 times NaN or infinity is NaN.

    Args:
        x: `(batch, m)` or `(batch, m, c)`.
        mask: `(batch, m)` or None.
    """
    if mask is None:
        return x
    mask = ops.reshape(mask, (*ops.shape(mask), *(1 for _ in x.shape[2:])))
    return ops.where(mask, x, ops.zeros_like(x))


def visible_keys(
    mask: Tensor | None,
    steps: int | Tensor | None,
    n: int | Tensor,
    m: int | Tensor,
    first: int | Tensor = 0,
    rows: int | Tensor | None = None,
    keys: int | None = None,
) -> Tensor | None:
    """Return which keys each of some consecutive queries sees.

    Args:
        mask: `(batch, keys)` or None.
        steps: number of groups of queries and keys, or None.
        n: number of queries.
        m: number of keys.
        first: first of the queries.
        rows: number of queries. Default: all.
        keys: number of keys, from the first on. Default: all.

    Returns:
        Booleans that broadcast to `(batch, rows, keys)`; None if every query
        sees all keys.
    """
    visible = None if mask is None else ops.expand_dims(mask, 1)
    if steps is None:
        return visible
    queries = ops.arange(n if rows is None else rows, dtype="int32") + first
    ends = (queries // (n // steps) + 1) * (m // steps)  # of the keys seen
    keys = m if keys is None else keys
    causal = ops.arange(keys, dtype="int32") < ops.expand_dims(ends, 1)
    causal = ops.expand_dims(causal, 0)  # (1, rows, keys)
    return causal if visible is None else visible & causal


def count_visible_keys(
    mask: Tensor | None,
    steps: int | Tensor | None,
    n: int | Tensor,
    m: int | Tensor,
) -> Tensor:
    """Count the keys that each query sees, without an n x m matrix.

    Args:
        mask: `(batch, m)` or None.
        steps: number of groups of queries and keys, or None.
        n: number of queries.
        m: number of keys.

    Returns:
        int32; broadcasts to `(batch, n)`.
    """
    if steps is None:
        if mask is None:
            return ops.reshape(ops.convert_to_tensor(m, "int32"), (1, 1))
        return ops.sum(ops.cast(mask, "int32"), axis=1, keepdims=True)
    if mask is None:
        queries = ops.arange(n, dtype="int32")
        counts = (queries // (n // steps) + 1) * (m // steps)
        return ops.expand_dims(counts, 0)
    batch = ops.shape(mask)[0]
    groups = ops.reshape(ops.cast(mask, "int32"), (batch, steps, m // steps))
    counts = ops.cumsum(ops.sum(groups, axis=2), axis=1)  # (b, steps)
    counts = ops.expand_dims(counts, 2) + ops.zeros((1, 1, n // steps), "int32")
    return ops.reshape(counts, (batch, n))


def key_counts(
    mask: Tensor | None,
    steps: int | Tensor | None,
    n: int | Tensor,
    m: int | Tensor,
    dtype: str,
) -> Tensor:
    """Compute C(x) of the functions that divide by the number of keys.

    Args:
        mask: as for `count_visible_keys`.
        steps: as for `count_visible_keys`.
        n: number of queries.
        m: number of keys.
        dtype: of the result.

    Returns:
        `(batch or 1, n or 1, 1)`; 1 for a query that sees no key.
    """
    counts = ops.maximum(count_visible_keys(mask, steps, n, m), 1)
    return ops.cast(ops.expand_dims(counts, 2), dtype)


def zero_invisible(weights: Tensor, visible: Tensor | None) -> Tensor:
    """Replace the weights of keys that a query does not see by zeros.

    Args:
        weights: `(batch, n, m)`.
        visible: booleans that broadcast to it; None if all keys are seen.
    """
    if visible is None:
        return weights
    return ops.where(visible, weights, ops.zeros_like(weights))
