"""Dot product: f(x_i, x_j) = theta_i . phi_j, C(x) = number of keys.

The operation is linear in each of its three matrices, so the products can be
taken in either order: (theta phi^T) g passes through an n x m matrix,
theta (phi^T g) through a d x c one. Where it is causal, the second order takes
the prefix sums over time of the d x c matrices.
"""

import math
from typing import Literal, get_args

from keras import ops

from nonlocal_tf.choices import unknown
from nonlocal_tf.ops._causal_sum import split_time
from nonlocal_tf.ops._nonfinite import finite_inputs
from nonlocal_tf.ops._precision import at_least_float32
from nonlocal_tf.ops._visible_keys import (
    check_steps,
    checked_mask,
    key_counts,
    visible_keys,
    zero_invisible,
    zero_masked,
)
from nonlocal_tf.typing import Tensor

DotProductMethod = Literal["auto", "plain", "associative"]
DOT_PRODUCT_METHODS = get_args(DotProductMethod)


def dot_product_affinity(
    theta: Tensor,
    phi: Tensor,
    *,
    mask: Tensor | None = None,
    steps: int | Tensor | None = None,
) -> Tensor:
    """Compute the weights theta_i . phi_j / C(x), which may be negative.

    Args:
        theta: queries, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        mask: as for `dot_product`; the weights of other keys are 0.
        steps: as for `dot_product`; the weights of later keys are 0.

    Returns:
        `(batch, n, m)`, float32 or wider.

    Raises:
        ValueError: `mask` or `steps` does not fit.
    """
    theta, phi = at_least_float32(theta), at_least_float32(phi)
    n, m = ops.shape(theta)[1], ops.shape(phi)[1]
    mask = checked_mask(mask, phi)
    check_steps(steps, n, m)
    phi = zero_masked(phi, mask)
    weights = ops.matmul(theta, ops.swapaxes(phi, 1, 2))
    counts = key_counts(mask, steps, n, m, weights.dtype)
    return zero_invisible(weights / counts, visible_keys(mask, steps, n, m))


def dot_product(
    theta: Tensor,
    phi: Tensor,
    g: Tensor,
    method: DotProductMethod = "auto",
    *,
    mask: Tensor | None = None,
    steps: int | Tensor | None = None,
) -> Tensor:
    """Compute y_i = 1/C(x) sum_j (theta_i . phi_j) g_j.

    C(x) is the number of keys j that query i sees: m without `mask` and
    `steps`. A query that sees no key has y = 0.

    Args:
        theta: queries, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        g: values, `(batch, m, c)`.
        method: `"associative"` takes O((n + m) d c) time and O(d c) memory,
            with `steps` O(min(steps d c, (n + m) sqrt(d c))), or
            O(steps d c) where a size is unknown; `"plain"` takes
            O(n m (d + c)) and O(n m). Both are exact; `"auto"` chooses the
            one with fewer multiplications, which for c = d is associative
            where d (n + m) < 2 n m, and with `steps` plain also where it takes
            less memory. Where n or m is unknown until the graph runs, the
            graph chooses.
        mask: boolean `(batch, m)`, True for the keys that count. What the
            others contain, even NaN, does not matter.
        steps: makes the operation causal: queries and keys are this many
            groups of equal size, consecutive in time, and a query sees the
            keys of its own group and of earlier ones. Queries that are not
            finite, or see keys or values that are not, give NaN; later
            positions do not matter, whatever they hold. An integer, or a scalar
            tensor, that divides n and m.

    Returns:
        `(batch, n, c)` in the dtype of `g`; computed in float32 or wider.

    Raises:
        ValueError: unknown method; `mask` or `steps` does not fit.

    Reference:
        Wang et al., Non-local Neural Networks, CVPR 2018, section 3.2,
        equation 4.
    """
    if method not in DOT_PRODUCT_METHODS:
        raise ValueError(unknown("method", method, DOT_PRODUCT_METHODS))
    dtype = g.dtype
    theta, phi, g = (at_least_float32(x) for x in (theta, phi, g))
    n, m = ops.shape(theta)[1], ops.shape(phi)[1]
    mask = checked_mask(mask, phi)
    check_steps(steps, n, m)
    phi, g = zero_masked(phi, mask), zero_masked(g, mask)
    (theta, phi, g), nan = finite_inputs(theta, phi, g, steps)

    def plain() -> Tensor:
        weights = dot_product_affinity(theta, phi, mask=mask, steps=steps)
        return ops.matmul(weights, g)

    def associative() -> Tensor:
        if steps is not None:
            return _causal(theta, phi, g, mask, steps)
        # Divide here: the matrix is small and its entries do not grow with m.
        counts = key_counts(mask, None, n, m, g.dtype)  # (b, 1, 1)
        phi_g = ops.matmul(ops.swapaxes(phi, 1, 2), g) / counts  # (b, d, c)
        return ops.matmul(theta, phi_g)

    if method == "plain":
        y = plain()
    elif method == "associative":
        y = associative()
    else:
        prefer_associative = _prefer_associative(theta, phi, g, steps)
        if isinstance(prefer_associative, bool):
            y = associative() if prefer_associative else plain()
        else:
            y = ops.cond(prefer_associative, associative, plain)
    return ops.cast(y if nan is None else y + nan, dtype)


def _causal(
    theta: Tensor,
    phi: Tensor,
    g: Tensor,
    mask: Tensor | None,
    steps: int | Tensor,
) -> Tensor:
    """Multiply queries by the sum of the d x c matrices of earlier keys.

    A leaf is some consecutive groups. The sum is over earlier leaves; within
    a leaf of several groups the weights are a masked matrix.
    """
    batch, n, d = ops.shape(theta)
    m, c = ops.shape(phi)[1], g.shape[-1]
    counts = key_counts(mask, steps, n, m, g.dtype)
    groups = _leaf_groups(n, m, d * c, steps)
    leaves = -(-steps // groups)
    theta, phi, g = (
        split_time(x, steps, leaves, groups) for x in (theta, phi, g)
    )
    phi_t = ops.swapaxes(phi, 2, 3)
    sums = ops.cumsum(ops.matmul(phi_t, g), axis=1)  # (b, leaves, d, c)
    if groups == 1:
        y = ops.matmul(theta, sums)
    else:
        visible = visible_keys(None, groups, theta.shape[2], phi.shape[2])
        weights = zero_invisible(
            ops.matmul(theta, phi_t), ops.expand_dims(visible, 0)
        )
        earlier = ops.concatenate(
            [ops.zeros_like(sums[:, :1]), sums[:, :-1]], axis=1
        )
        y = ops.matmul(theta, earlier) + ops.matmul(weights, g)
    y = ops.reshape(y, (batch, leaves * ops.shape(theta)[2], c))[:, :n]
    return y / counts


def _leaf_groups(
    n: int | Tensor, m: int | Tensor, matrix: int, steps: int | Tensor
) -> int:
    """Number of groups in a leaf; one where a size is unknown.

    With sqrt(d c) positions, the matrices of leaves, n / positions of size
    `matrix`, and the weights within them, n rows of so many positions, take
    equal memory.
    """
    if not all(isinstance(size, int) for size in (n, m, steps)):
        return 1
    positions = max(n, m, 1) // steps
    return min(steps, max(1, math.isqrt(matrix) // max(positions, 1)))


def _prefer_associative(
    theta: Tensor, phi: Tensor, g: Tensor, steps: int | Tensor | None
) -> bool | Tensor:
    """Compare multiplications; a bool tensor where a size is unknown."""
    n, m = ops.shape(theta)[1], ops.shape(phi)[1]
    d, c = theta.shape[-1], g.shape[-1]
    sizes = (n, m) if steps is None else (n, m, steps)
    if not all(isinstance(size, int) for size in sizes):
        # Products of sizes exceed int32.
        n, m = ops.cast(n, "float32"), ops.cast(m, "float32")
    prefer = d * c * (n + m) < n * m * (d + c)
    if steps is None:
        return prefer
    if not isinstance(prefer, bool):
        steps = ops.cast(steps, "float32")
        return ops.logical_and(prefer, steps * d * c <= n * m)
    groups = _leaf_groups(n, m, d * c, steps)
    leaves = -(-steps // groups)
    within = 0 if groups == 1 else n * m // leaves
    return prefer and leaves * d * c + within <= n * m
