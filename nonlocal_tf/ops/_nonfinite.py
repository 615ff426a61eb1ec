"""NaN and infinity in causal operations: they reach no earlier query.

A key that a query does not see has weight zero, but zero times NaN or infinity
is NaN. So causal operations compute with zeros in place of what is not finite,
and add NaN to the outputs of the queries that see it.
"""

from keras import ops

from nonlocal_tf.typing import Tensor


def finite_inputs(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    steps: int | Tensor | None,
) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor | None]:
    """Separate the inputs of a causal operation from what is not finite.

    Args:
        queries: `(batch, n)` or `(batch, n, d)`.
        keys: `(batch, m)` or `(batch, m, d)`.
        values: `(batch, m, c)`.
        steps: number of groups of queries and keys in time; None if every
            query sees all keys.

    Returns:
        The three with zeros in place of NaN and infinity, and what to add to
        the outputs, `(batch, n, c)`: NaN for a query that is not finite or sees
        a key that is not, and in the channels of values that it sees and that
        are not; else 0. The same three and None without `steps`.
    """
    if steps is None:
        return (queries, keys, values), None
    batch, n = ops.shape(queries)[:2]
    m = ops.shape(keys)[1]
    flags = _nonfinite_channels(values) | _nonfinite_positions(keys)
    groups = ops.reshape(flags, (batch, steps, m // steps, values.shape[2]))
    counts = ops.cast(ops.any(groups, axis=2), "int32")
    seen = ops.cumsum(counts, axis=1) > 0  # (b, steps, c)
    own = _nonfinite_positions(queries)
    own = ops.reshape(own, (batch, steps, n // steps, 1))
    is_nan = ops.reshape(
        ops.expand_dims(seen, 2) | own, (batch, n, values.shape[2])
    )
    nan = ops.where(is_nan, float("nan"), 0.0)
    inputs = _zero_nonfinite(queries), _zero_nonfinite(keys)
    return (*inputs, _zero_nonfinite(values)), ops.cast(nan, values.dtype)


def _zero_nonfinite(x: Tensor) -> Tensor:
    return ops.where(ops.isfinite(x), x, ops.zeros_like(x))


def _nonfinite_channels(x: Tensor) -> Tensor:
    """Return True for what is not finite, `(batch, n, d or 1)`."""
    x = ops.expand_dims(x, 2) if len(x.shape) == 2 else x
    return ops.logical_not(ops.isfinite(x))


def _nonfinite_positions(x: Tensor) -> Tensor:
    # Not `max`, which Keras refuses for a batch of no examples.
    return ops.any(_nonfinite_channels(x), axis=2, keepdims=True)
