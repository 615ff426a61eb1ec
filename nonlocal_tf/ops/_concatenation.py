"""Concatenation: f(x_i, x_j) = ReLU(w_f . [theta_i, phi_j]), C(x) = m.

The two halves of w_f act separately, w_f . [theta_i, phi_j] = a_i + b_j with
a = w_f[:d] . theta and b = w_f[d:] . phi. These functions take a and b, so no
tensor of concatenated pairs is built.

The n x m affinity matrix is not built either. As a function of a,
y(a) = sum_j ReLU(a + b_j) g_j is piecewise linear with knots at a = -b_j. With
b sorted in descending order,

    slope_k = sum_{j<=k} g_j             of the piece right of knot k
    value_k = sum_{j<=k} (b_j - b_k) g_j  at knot k
    y(a)    = value_k + (a + b_k) slope_k  with k = #{j: b_j > -a}

so two tables of prefix sums and one lookup per query give y. All weights are
sums of non-negative terms: nothing cancels, and the rounding error is below
that of the plain sum. The gradients have the same form: that of g is the same
operation with a and b swapped, and those of a and b come from the slopes.
"""

import numbers
from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from keras import ops

from nonlocal_tf.choices import unknown
from nonlocal_tf.ops._causal_sum import causal_sum
from nonlocal_tf.ops._gradient import custom_gradient
from nonlocal_tf.ops._nonfinite import finite_inputs
from nonlocal_tf.ops._precision import at_least_float32
from nonlocal_tf.ops._rows import invert_permutation, row_offsets, take_rows
from nonlocal_tf.ops._visible_keys import (
    check_steps,
    checked_mask,
    key_counts,
    visible_keys,
    zero_invisible,
    zero_masked,
)
from nonlocal_tf.typing import Tensor

ConcatenationMethod = Literal["auto", "plain", "sorted"]
CONCATENATION_METHODS = get_args(ConcatenationMethod)
# Prefix sums are triangular matrix products within blocks of rows and prefix
# sums of the blocks' totals across them. 32 was the fastest of 16 to 128.
BLOCK_ROWS = 32
# Up to so many affinities of an example, the plain causal form is faster.
CAUSAL_PLAIN_AFFINITIES = 2**19
LOWER = np.tril(np.ones((BLOCK_ROWS, BLOCK_ROWS), "float32"))


def concatenation_affinity(
    a: Tensor,
    b: Tensor,
    *,
    mask: Tensor | None = None,
    steps: int | Tensor | None = None,
) -> Tensor:
    """Compute the weights ReLU(a_i + b_j) / C(x).

    Args:
        a: w_f[:d] . theta_i of each query, `(batch, n)`.
        b: w_f[d:] . phi_j of each key, `(batch, m)`.
        mask: as for `concatenation`; the weights of other keys are 0.
        steps: as for `concatenation`; the weights of later keys are 0.

    Returns:
        `(batch, n, m)`, float32 or wider.

    Raises:
        ValueError: `mask` or `steps` does not fit.
    """
    a, b = at_least_float32(a), at_least_float32(b)
    n, m = ops.shape(a)[1], ops.shape(b)[1]
    mask = checked_mask(mask, b)
    check_steps(steps, n, m)
    b = zero_masked(b, mask)
    weights = ops.relu(a[:, :, None] + b[:, None, :])
    counts = key_counts(mask, steps, n, m, weights.dtype)
    return zero_invisible(weights / counts, visible_keys(mask, steps, n, m))


def concatenation(
    a: Tensor,
    b: Tensor,
    g: Tensor,
    method: ConcatenationMethod = "auto",
    *,
    mask: Tensor | None = None,
    steps: int | Tensor | None = None,
) -> Tensor:
    """Compute y_i = 1/C(x) sum_j ReLU(a_i + b_j) g_j.

    C(x) is the number of keys j that query i sees: m without `mask` and
    `steps`. A query that sees no key has y = 0.

    Args:
        a: w_f[:d] . theta_i of each query, `(batch, n)`.
        b: w_f[d:] . phi_j of each key, `(batch, m)`.
        g: values, `(batch, m, c)`.
        method: `"sorted"` takes O((n + m) (c + log(n + m))) time and
            O((n + m) c) memory, with `steps` 1 + log2(steps) times the time;
            `"plain"` takes O(n m c) and O(n m). Both are exact; an infinite
            input gives NaN at more positions with `"sorted"`. `"auto"` is
            `"sorted"`; with `steps` plain up to half a million affinities, or
            where `steps` is a tensor.
        mask: boolean `(batch, m)`, True for the keys that count. What the
            others contain, even NaN, does not matter.
        steps: makes the operation causal: queries and keys are this many
            groups of equal size, consecutive in time, and a query sees the
            keys of its own group and of earlier ones. Queries that are not
            finite, or see keys or values that are not, give NaN; later
            positions do not matter, whatever they hold, but that later queries
            change the rounding of gradients by b and g with `"sorted"`. It
            divides n and m. An integer; a scalar tensor with `"plain"` alone.

    Returns:
        `(batch, n, c)` in the dtype of `g`; computed in float32 or wider.

    Raises:
        ValueError: unknown method; `mask` or `steps` does not fit; a tensor of
            steps with `"sorted"`.

    Reference:
        Wang et al., Non-local Neural Networks, CVPR 2018, section 3.2,
        equation 6.
    """
    if method not in CONCATENATION_METHODS:
        raise ValueError(unknown("method", method, CONCATENATION_METHODS))
    dtype = g.dtype
    a, b, g = (at_least_float32(x) for x in (a, b, g))
    n, m = ops.shape(a)[1], ops.shape(b)[1]
    mask = checked_mask(mask, b)
    check_steps(steps, n, m)
    is_tensor = steps is not None and not isinstance(steps, numbers.Integral)
    if method == "auto":
        method = "sorted"
        if steps is not None and (is_tensor or _is_small(n, m)):
            method = "plain"
    if method == "sorted" and is_tensor:
        raise ValueError(
            "method='sorted' needs `steps` as an integer, because the number "
            "of its sums depends on it; method='auto' takes the plain form "
            f"for a tensor. Received: steps={steps!r}"
        )
    b, g = zero_masked(b, mask), zero_masked(g, mask)
    (a, b, g), nan = finite_inputs(a, b, g, steps)
    counts = key_counts(mask, steps, n, m, g.dtype)  # (b, n, 1)
    if method == "plain":
        weights = concatenation_affinity(a, b, mask=mask, steps=steps)
        y = ops.matmul(weights, g)
    elif steps is None:
        y = _sorted(a, b, g, counts[:, :, 0])
    else:
        y = causal_sum(_sorted, a, b, g, steps) / counts
    return ops.cast(y if nan is None else y + nan, dtype)


def _is_small(n: int | Tensor, m: int | Tensor) -> bool:
    if not (isinstance(n, int) and isinstance(m, int)):
        return False
    return n * m <= CAUSAL_PLAIN_AFFINITIES


def _sorted(
    a: Tensor, b: Tensor, g: Tensor, divisor: Tensor | None = None
) -> Tensor:
    """Compute sum_j ReLU(a_i + b_j) g_j / divisor from sorted keys.

    Args:
        a: `(batch, n)`.
        b: `(batch, m)`.
        g: `(batch, m, c)`.
        divisor: `(batch or 1, 1)`. Default: 1.
    """
    divisor = ops.ones((1, 1), g.dtype) if divisor is None else divisor
    return _sorted_quotient(a, b, g, divisor)


@custom_gradient
def _sorted_quotient(
    a: Tensor, b: Tensor, g: Tensor, divisor: Tensor
) -> tuple[Tensor, Callable]:
    # An argument, not a closure, which the gradient of an export from JAX
    # cannot have.
    a_order, b_order, key_counts, query_counts = _sort(a, b)
    y, slope_a = _interpolate(a, b, g, b_order, key_counts, divisor)

    def gradient(dy: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        dg, slope_b = _interpolate(b, a, dy, a_order, query_counts, divisor)
        da = _sum_rows(slope_a * dy) / divisor
        db = _sum_rows(slope_b * g) / divisor
        return da, db, dg, ops.zeros_like(divisor)

    return y, gradient


def _sum_rows(x: Tensor) -> Tensor:
    """Sum `(batch, n, c)` over c.

    A product with ones: on CPUs, JAX takes 20 times as long for `sum`.
    """
    ones = ops.ones((x.shape[-1], 1), x.dtype)
    return ops.squeeze(ops.matmul(x, ones), 2)


def _sort(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sort a and -b together, which gives both orders and both counts.

    Returns:
        a_order: queries by descending a, `(batch, n)`.
        b_order: keys by descending b, `(batch, m)`.
        key_counts: number of keys with b_j > -a_i, `(batch, n)`.
        query_counts: number of queries with a_i > -b_j, `(batch, m)`.
    """
    n = ops.shape(a)[1]
    # A query comes before the keys it ties with and does not count them: where
    # a + b = 0, ReLU has the gradient 0. NaN has no rank, and some backends
    # sort -0.0 below 0.0, so both become 0.0.
    merged = ops.concatenate([a, -b], axis=1)
    merged = ops.where(
        ops.isnan(merged) | (merged == 0), ops.zeros_like(merged), merged
    )
    order = ops.cast(ops.argsort(merged, axis=1), "int32")
    rank = invert_permutation(order)
    keys_before = ops.cumsum(ops.cast(order >= n, "int32"), axis=1)
    keys_before = take_rows(keys_before, rank)
    queries_before = rank + 1 - keys_before  # including the query itself
    b_order = invert_permutation(keys_before[:, n:] - 1)
    a_order = invert_permutation(n - queries_before[:, :n])
    return a_order, b_order, keys_before[:, :n], n - queries_before[:, n:]


def _interpolate(
    a: Tensor,
    b: Tensor,
    g: Tensor,
    order: Tensor,
    counts: Tensor,
    divisor: Tensor,
) -> tuple[Tensor, Tensor]:
    """Evaluate y and its slope for each a_i from the tables at the knots.

    Returns:
        sum_j (a_i + b_j) g_j / divisor and sum_j g_j, each over the first
        `counts[i]` keys of `order`, `(batch, n, c)`.
    """
    batch, m, c = ops.shape(g)
    blocks = m // BLOCK_ROWS + 1
    # Rows of weight 0 before the first key: a count of 0 gives zero.
    padding = blocks * BLOCK_ROWS - m  # 1 to BLOCK_ROWS
    order = ops.concatenate(
        [ops.zeros((batch, padding), "int32"), order], axis=1
    )
    weight = ops.concatenate(
        [ops.zeros((batch, padding), g.dtype), ops.ones((batch, m), g.dtype)],
        axis=1,
    )
    b, g = take_rows(b, order), take_rows(g, order)
    tables = _tables(
        ops.reshape(b, (batch, blocks, BLOCK_ROWS)),
        ops.reshape(weight, (batch, blocks, 1, BLOCK_ROWS)),
        ops.reshape(g, (batch, blocks, BLOCK_ROWS, c)),
        divisor,
    )
    knot = counts + (padding - 1)
    row = knot // BLOCK_ROWS * (2 * BLOCK_ROWS) + knot % BLOCK_ROWS
    row = row + row_offsets(batch, blocks * 2 * BLOCK_ROWS)
    tables = ops.reshape(tables, (-1, c))
    slope = ops.take(tables, row, axis=0)  # (b, n, c)
    value = ops.take(tables, row + BLOCK_ROWS, axis=0)
    distance = (a + take_rows(b, knot)) / divisor  # (b, n)
    return value + ops.expand_dims(distance, 2) * slope, slope


def _tables(b: Tensor, weight: Tensor, g: Tensor, divisor: Tensor) -> Tensor:
    """Compute slopes and values at the knots, block by block.

    Args:
        b: in descending order, `(batch, blocks, rows)`.
        weight: 0 for padding, 1 for keys, `(batch, blocks, 1, rows)`.
        g: in the same order, `(batch, blocks, rows, c)`.
        divisor: of the values, `(batch or 1, 1)`.

    Returns:
        `(batch, blocks, 2 * rows, c)`: slopes, then values of each block.
    """
    slopes = ops.cast(LOWER, g.dtype) * weight
    distance = ops.expand_dims(b, 2) - ops.expand_dims(b, 3)  # (b, q, r, r)
    values = slopes * (distance / ops.expand_dims(divisor, (2, 3)))
    within = ops.concatenate([slopes, values], axis=2)  # (b, q, 2 rows, rows)
    totals = ops.matmul(within[:, :, BLOCK_ROWS - 1 :: BLOCK_ROWS], g)
    last = b[:, :, -1:]  # (b, q, 1): the last knot of each block
    previous = ops.concatenate([last[:, :1], last[:, :-1]], axis=1)
    # Between knots, a value grows by the slope times the distance.
    slope = _shift(_running_sum(totals[:, :, 0]))  # (b, q, c)
    divisor = ops.expand_dims(divisor, 2)
    step = (previous - last) / divisor
    value = _shift(_running_sum(totals[:, :, 1] + step * slope))
    before = ops.stack([slope, value], axis=2)  # (b, q, 2, c)
    distance = ops.expand_dims((previous - b) / divisor, 3)  # (b, q, r, 1)
    ones, zeros = ops.ones_like(distance), ops.zeros_like(distance)
    across = ops.concatenate(
        [
            ops.concatenate([ones, zeros], axis=3),
            ops.concatenate([distance, ones], axis=3),
        ],
        axis=2,
    )  # (b, q, 2 rows, 2)
    return ops.matmul(
        ops.concatenate([within, across], axis=3),
        ops.concatenate([g, before], axis=2),
    )


def _running_sum(x: Tensor) -> Tensor:
    """Compute prefix sums along axis 1 of `(batch, q, c)` in two levels."""
    batch, q, c = ops.shape(x)
    blocks = (q + BLOCK_ROWS - 1) // BLOCK_ROWS
    padding = ops.zeros((batch, blocks * BLOCK_ROWS - q, c), x.dtype)
    x = ops.concatenate([x, padding], axis=1)
    x = ops.reshape(x, (batch, blocks, BLOCK_ROWS, c))
    x = ops.matmul(ops.cast(LOWER, x.dtype), x)
    before = _shift(ops.cumsum(x[:, :, -1], axis=1))
    x = x + ops.expand_dims(before, 2)
    return ops.reshape(x, (batch, blocks * BLOCK_ROWS, c))[:, :q]


def _shift(x: Tensor) -> Tensor:
    """Shift the rows of `(batch, q, c)` by one; the first becomes zero."""
    return ops.concatenate([ops.zeros_like(x[:, :1]), x[:, :-1]], axis=1)
