"""Causal sums over keys from sums over all keys, by halves of time.

The second half of the time sees all keys of the first half: that is one sum
without restriction. Within each half the same holds for its own halves, so
log2(steps) levels of unrestricted sums give the causal one; the halves of a
level are one batch.
"""

from collections.abc import Callable

from keras import ops

from nonlocal_tf.ops._visible_keys import visible_keys, zero_invisible
from nonlocal_tf.typing import Tensor

# Consecutive small groups are one leaf of at most this many positions, whose
# weights are a masked matrix.
LEAF_POSITIONS = 64


def causal_sum(
    sum_keys: Callable[[Tensor, Tensor, Tensor], Tensor],
    a: Tensor,
    b: Tensor,
    g: Tensor,
    steps: int,
) -> Tensor:
    """Compute sum_j ReLU(a_i + b_j) g_j over the keys that each query sees.

    Args:
        sum_keys: function of a `(batch, n)`, b `(batch, m)` and g
            `(batch, m, c)` to the sum over all keys, `(batch, n, c)`.
        a: `(batch, n)`.
        b: `(batch, m)`.
        g: `(batch, m, c)`.
        steps: number of groups in time; it divides n and m.

    Returns:
        `(batch, n, c)`.
    """
    batch, n = ops.shape(a)
    groups = _leaf_groups(a, b, steps)
    leaves = -(-steps // groups)
    a, b, g = (split_time(x, steps, leaves, groups) for x in (a, b, g))
    if groups > 1:
        y = _masked_leaves(a, b, g, groups)
    else:
        y = _batched(sum_keys, a, b, g)
    half = 1
    while half < leaves:
        y = y + _later_halves(sum_keys, a, b, g, half)
        half *= 2
    # Not -1, which JAX cannot infer for a batch of no examples.
    queries = leaves * ops.shape(a)[2]
    return ops.reshape(y, (batch, queries, g.shape[-1]))[:, :n]


def _leaf_groups(a: Tensor, b: Tensor, steps: int) -> int:
    """Number of groups in a leaf; one where a size is unknown."""
    n, m = ops.shape(a)[1], ops.shape(b)[1]
    if not (isinstance(n, int) and isinstance(m, int)):
        return 1
    positions = max(n, m, 1) // steps
    return min(steps, max(1, LEAF_POSITIONS // max(positions, 1)))


def split_time(
    x: Tensor, steps: int | Tensor, leaves: int | Tensor, groups: int
) -> Tensor:
    """Split consecutive positions into leaves of some groups each.

    Args:
        x: `(batch, n, ...)`.
        steps: number of groups in time; it divides n.
        leaves: number of leaves; zeros fill the last one.
        groups: groups of a leaf.

    Returns:
        `(batch, leaves, groups * n / steps, ...)`.
    """
    batch, n, *row = ops.shape(x)
    positions = n // steps
    if groups > 1:
        x = _pad(x, (leaves * groups - steps) * positions)
    return ops.reshape(x, (batch, leaves, groups * positions, *row))


def _pad(x: Tensor, count: int | Tensor) -> Tensor:
    """Append zeros along axis 1: as keys, they are later than all queries."""
    if isinstance(count, int) and count == 0:
        return x
    batch, _, *row = ops.shape(x)
    return ops.concatenate(
        [x, ops.zeros((batch, count, *row), x.dtype)], axis=1
    )


def _masked_leaves(a: Tensor, b: Tensor, g: Tensor, groups: int) -> Tensor:
    """Sum within leaves of several groups by matrices of weights."""
    weights = ops.relu(ops.expand_dims(a, 3) + ops.expand_dims(b, 2))
    visible = visible_keys(None, groups, a.shape[2], b.shape[2])
    weights = zero_invisible(weights, ops.expand_dims(visible, 0))
    return ops.matmul(weights, g)


def _batched(sum_keys: Callable, a: Tensor, b: Tensor, g: Tensor) -> Tensor:
    """Sum over the keys of the same leaf, or half of time."""
    batch, count, n = ops.shape(a)
    rows = (ops.reshape(x, (-1, *ops.shape(x)[2:])) for x in (a, b, g))
    return ops.reshape(sum_keys(*rows), (batch, count, n, g.shape[-1]))


def _later_halves(
    sum_keys: Callable, a: Tensor, b: Tensor, g: Tensor, half: int
) -> Tensor:
    """Sum over the keys of the first half for queries of the second.

    Args:
        sum_keys: as for `causal_sum`.
        a: `(batch, leaves, n, ...)`.
        b: `(batch, leaves, m, ...)`.
        g: `(batch, leaves, m, c)`.
        half: leaves in each half of a pair of halves.

    Returns:
        `(batch, leaves, n, c)`; zeros for queries of first halves.
    """
    batch, leaves, n = ops.shape(a)
    m, c = ops.shape(b)[2], g.shape[-1]
    pairs = -(-(leaves - half) // (2 * half))
    if pairs == 1:  # the last may be shorter than the first
        end = min(2 * half, leaves)
        later = ops.reshape(a[:, half:end], (batch, 1, (end - half) * n))
    else:
        end = min(pairs * 2 * half, leaves)
        later = _pad(a[:, :end], pairs * 2 * half - end)
        later = ops.reshape(later, (batch, pairs, 2, half * n))[:, :, 1]
    b, g = (
        ops.reshape(
            _pad(x[:, : pairs * 2 * half], max(pairs * 2 * half - leaves, 0)),
            (batch, pairs, 2, half * m, *x.shape[3:]),
        )[:, :, 0]
        for x in (b, g)
    )
    y = _batched(sum_keys, later, b, g)
    if pairs == 1:
        y = ops.reshape(y, (batch, end - half, n, c))
        y = ops.concatenate(
            [ops.zeros((batch, half, n, c), y.dtype), y], axis=1
        )
    else:
        y = ops.stack([ops.zeros_like(y), y], axis=2)
        y = ops.reshape(y, (batch, pairs * 2 * half, n, c))[:, :end]
    return _pad(y, leaves - end)
