"""Concatenation: f(x_i, x_j) = ReLU(w_f . [theta_i, phi_j]), C(x) = m.

The two halves of w_f act apart, w_f . [theta_i, phi_j] = a_i + b_j with
a = w_f[:d] . theta and b = w_f[d:] . phi, so these functions take a and b and
no tensor of pairs of vectors is ever built.

Nor is a matrix of pairs. As a function of a, y(a) = sum_j ReLU(a + b_j) g_j is
piecewise linear with knots at a = -b_j. With b sorted from the largest on,

    slope_k = sum_{j<=k} g_j             of the piece right of knot k
    value_k = sum_{j<=k} (b_j - b_k) g_j  at knot k
    y(a)    = value_k + (a + b_k) slope_k  with k = #{j: b_j > -a}

so two tables of prefix sums and a look-up give y for every query. All weights
are sums of what is not negative: nothing cancels, and the error is below that
of the plain sum. The gradients are of the same form: that of g is the same
operation with the roles of a and b swapped, and those of a and b come from the
slopes.
"""

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from keras import ops

from nonlocal_tf.choices import unknown
from nonlocal_tf.ops.precision import at_least_float32
from nonlocal_tf.ops.rows import first_rows, invert_permutation, take_rows
from nonlocal_tf.typing import Tensor

ConcatenationMethod = Literal["auto", "plain", "sorted"]
CONCATENATION_METHODS = get_args(ConcatenationMethod)
# Prefix sums are taken within blocks by a triangular matrix product, and across
# blocks by prefix sums of the blocks' totals. 32 was the fastest of 16 to 128.
BLOCK_ROWS = 32
LOWER = np.tril(np.ones((BLOCK_ROWS, BLOCK_ROWS), "float32"))


def concatenation_affinity(a: Tensor, b: Tensor) -> Tensor:
    """Weights ReLU(a_i + b_j) / m.

    Args:
        a: what each query contributes, `(batch, n)`.
        b: what each key contributes, `(batch, m)`.

    Returns:
        `(batch, n, m)`, float32 or wider.
    """
    a, b = at_least_float32(a), at_least_float32(b)
    positions = ops.cast(ops.shape(b)[1], b.dtype)
    return ops.relu(a[:, :, None] + b[:, None, :]) / positions


def concatenation(
    a: Tensor, b: Tensor, g: Tensor, method: ConcatenationMethod = "auto"
) -> Tensor:
    """y_i = 1/m sum_j ReLU(a_i + b_j) g_j.

    Args:
        a: what each query contributes, `(batch, n)`.
        b: what each key contributes, `(batch, m)`.
        g: values, `(batch, m, c)`.
        method: `"sorted"` takes O((n + m) (c + log(n + m))) time and
            O((n + m) c) memory, `"plain"` O(n m c) and O(n m). Neither
            approximates; an infinity gives a NaN in more places when sorted.
            `"auto"` is `"sorted"`.

    Returns:
        `(batch, n, c)` in the dtype of `g`; float32 or wider inside.

    Raises:
        ValueError: the method is not one of those above.

    Reference:
        Wang et al., Non-local Neural Networks, CVPR 2018, section 3.2,
        equation 6.
    """
    if method not in CONCATENATION_METHODS:
        raise ValueError(unknown("method", method, CONCATENATION_METHODS))
    dtype = g.dtype
    a, b, g = (at_least_float32(x) for x in (a, b, g))
    if method == "plain":
        y = ops.matmul(concatenation_affinity(a, b), g)
    else:
        y = _sorted(a, b, g)
    return ops.cast(y, dtype)


@ops.custom_gradient
def _sorted(a: Tensor, b: Tensor, g: Tensor) -> tuple[Tensor, Callable]:
    m = ops.cast(ops.shape(b)[1], g.dtype)
    by_a, by_b, keys_seen, queries_seen = _sort(a, b)
    y, slope_of_a = _look_up(a, b, g, by_b, keys_seen, m)

    def gradient(
        dy: Tensor, upstream: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        dy = dy if upstream is None else upstream
        dg, slope_of_b = _look_up(b, a, dy, by_a, queries_seen, m)
        da = ops.sum(slope_of_a * dy, axis=-1) / m
        db = ops.sum(slope_of_b * g, axis=-1) / m
        return da, db, dg

    return y, gradient


def _sort(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One sort of a and -b together gives every order and count there is.

    Returns:
        by_a: queries from the largest a on, `(batch, n)`.
        by_b: keys from the largest b on, `(batch, m)`.
        keys_seen: number of keys with b_j > -a_i, `(batch, n)`.
        queries_seen: number of queries with a_i > -b_j, `(batch, m)`.
    """
    n = ops.shape(a)[1]
    # A query comes before the keys it ties with and does not see them: where
    # a + b = 0, ReLU has the gradient 0. Without a NaN, which has no place in
    # an order, nor a negative zero, which some sort below zero.
    line = ops.concatenate([a, -b], axis=1)
    line = ops.where(ops.isnan(line) | (line == 0), ops.zeros_like(line), line)
    order = ops.cast(ops.argsort(line, axis=1), "int32")
    place = invert_permutation(order)
    keys_before = ops.cumsum(ops.cast(order >= n, "int32"), axis=1)
    keys_before = take_rows(keys_before, place)
    queries_before = place + 1 - keys_before  # and this one, at a query
    keys_seen = keys_before[:, :n]
    by_b = invert_permutation(keys_before[:, n:] - 1)
    by_a = invert_permutation(n - queries_before[:, :n])
    return by_a, by_b, keys_seen, n - queries_before[:, n:]


def _look_up(
    a: Tensor, b: Tensor, g: Tensor, by_b: Tensor, seen: Tensor, divisor: Tensor
) -> tuple[Tensor, Tensor]:
    """(sum_{j seen} (a_i + b_j) g_j / divisor, sum_{j seen} g_j)."""
    batch, m, c = ops.shape(g)
    blocks = m // BLOCK_ROWS + 1
    # Rows without weight stand before the first key: who sees none gets zero.
    empty = blocks * BLOCK_ROWS - m  # 1 to BLOCK_ROWS
    by_b = ops.concatenate([ops.zeros((batch, empty), "int32"), by_b], axis=1)
    weight = ops.concatenate(
        [ops.zeros((batch, empty), g.dtype), ops.ones((batch, m), g.dtype)],
        axis=1,
    )
    b, g = take_rows(b, by_b), take_rows(g, by_b)
    tables = _tables(
        ops.reshape(b, (batch, blocks, BLOCK_ROWS)),
        ops.reshape(weight, (batch, blocks, 1, BLOCK_ROWS)),
        ops.reshape(g, (batch, blocks, BLOCK_ROWS, c)),
        divisor,
    )
    knot = seen + (empty - 1)
    row = knot // BLOCK_ROWS * (2 * BLOCK_ROWS) + knot % BLOCK_ROWS
    row = row + first_rows(batch, blocks * 2 * BLOCK_ROWS)
    tables = ops.reshape(tables, (-1, c))
    slope = ops.take(tables, row, axis=0)  # (b, n, c)
    value = ops.take(tables, row + BLOCK_ROWS, axis=0)
    beyond = (a + take_rows(b, knot)) / divisor  # (b, n)
    return value + ops.expand_dims(beyond, 2) * slope, slope


def _tables(b: Tensor, weight: Tensor, g: Tensor, divisor: Tensor) -> Tensor:
    """The slopes and values at the knots, block by block.

    Args:
        b: sorted from the largest on, `(batch, blocks, rows)`.
        weight: 0 or 1 a key, `(batch, blocks, 1, rows)`.
        g: in the same order, `(batch, blocks, rows, c)`.
        divisor: of the values.

    Returns:
        `(batch, blocks, 2 * rows, c)`: in each block its slopes, then its
        values.
    """
    slopes = ops.cast(LOWER, g.dtype) * weight
    distance = ops.expand_dims(b, 2) - ops.expand_dims(b, 3)  # (b, q, r, r)
    values = slopes * (distance / divisor)
    within = ops.concatenate([slopes, values], axis=2)  # (b, q, 2 rows, rows)
    totals = ops.matmul(within[:, :, BLOCK_ROWS - 1 :: BLOCK_ROWS], g)
    last = b[:, :, -1:]  # (b, q, 1): the last knot of each block
    previous = ops.concatenate([last[:, :1], last[:, :-1]], axis=1)
    # From knot to knot, a value grows by the slope times the distance.
    slope = _shift(_running_sum(totals[:, :, 0]))  # (b, q, c)
    step = (previous - last) / divisor
    value = _shift(_running_sum(totals[:, :, 1] + step * slope))
    before = ops.stack([slope, value], axis=2)  # (b, q, 2, c)
    distance = ops.expand_dims((previous - b) / divisor, 3)  # (b, q, r, 1)
    one, zero = ops.ones_like(distance), ops.zeros_like(distance)
    across = ops.concatenate(
        [
            ops.concatenate([one, zero], axis=3),
            ops.concatenate([distance, one], axis=3),
        ],
        axis=2,
    )  # (b, q, 2 rows, 2)
    return ops.matmul(
        ops.concatenate([within, across], axis=3),
        ops.concatenate([g, before], axis=2),
    )


def _running_sum(x: Tensor) -> Tensor:
    """Prefix sums along axis 1 of `(batch, q, c)`, in two levels of blocks."""
    batch, q, c = ops.shape(x)
    blocks = (q + BLOCK_ROWS - 1) // BLOCK_ROWS
    missing = ops.zeros((batch, blocks * BLOCK_ROWS - q, c), x.dtype)
    x = ops.concatenate([x, missing], axis=1)
    x = ops.reshape(x, (batch, blocks, BLOCK_ROWS, c))
    x = ops.matmul(ops.cast(LOWER, x.dtype), x)
    before = _shift(ops.cumsum(x[:, :, -1], axis=1))
    x = x + ops.expand_dims(before, 2)
    return ops.reshape(x, (batch, -1, c))[:, :q]


def _shift(x: Tensor) -> Tensor:
    """Moves the rows of `(batch, q, c)` one on and puts zeros first."""
    return ops.concatenate([ops.zeros_like(x[:, :1]), x[:, :-1]], axis=1)
