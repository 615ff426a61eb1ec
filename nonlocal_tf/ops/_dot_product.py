"""Dot product: f(x_i, x_j) = theta_i . phi_j, C(x) = number of keys.

The operation is linear in each of its three matrices, so the products can be
taken in either order: (theta phi^T) g passes through an n x m matrix,
theta (phi^T g) through a d x c one. Where it is causal, the second order takes
the prefix sums over time of the d x c matrices.
"""

from typing import Literal, get_args

from keras import ops

from nonlocal_tf.choices import unknown
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
            with `steps` O(steps d c); `"plain"` takes O(n m (d + c)) and
            O(n m). Both are exact; `"auto"` chooses the one with fewer
            multiplications, which for c = d is associative where
            d (n + m) < 2 n m, and with `steps` plain also where it takes less
            memory. Where n or m is unknown until the graph runs, the graph
            chooses.
        mask: boolean `(batch, m)`, True for the keys that count. What the
            others contain, even NaN, does not matter.
        steps: makes the operation causal: queries and keys are this many
            groups of equal size, consecutive in time, and a query sees the
            keys of its own group and of earlier ones. An integer, or a scalar
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
    return ops.cast(y, dtype)


def _causal(
    theta: Tensor,
    phi: Tensor,
    g: Tensor,
    mask: Tensor | None,
    steps: int | Tensor,
) -> Tensor:
    """Multiply each group of queries by the sum of the matrices up to it."""
    batch, n, d = ops.shape(theta)
    m, c = ops.shape(phi)[1], g.shape[-1]
    counts = key_counts(mask, steps, n, m, g.dtype)
    theta = ops.reshape(theta, (batch, steps, n // steps, d))
    phi = ops.reshape(phi, (batch, steps, m // steps, d))
    g = ops.reshape(g, (batch, steps, m // steps, c))
    phi_g = ops.matmul(ops.swapaxes(phi, 2, 3), g)  # (b, steps, d, c)
    y = ops.matmul(theta, ops.cumsum(phi_g, axis=1))
    y = ops.reshape(y, (batch, n, c))
    return y / counts


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
    return prefer and steps * d * c <= n * m
