"""Efficient attention: f(x_i, x_j) = rho_q(theta_i) . rho_k(phi_j), C(x) = 1.

rho_q is a softmax over the channels of theta, rho_k one over the positions of
phi, channel by channel. Both factors are non-negative and each query's weights
sum to one, so that f is a softmax-like affinity of rank d, which needs no
n x m matrix: y = rho_q(theta) (rho_k(phi)^T g).
"""

from keras import ops

from nonlocal_tf.ops._precision import at_least_float32
from nonlocal_tf.ops._visible_keys import checked_mask, zero_masked
from nonlocal_tf.typing import Tensor

LOWEST = -1e30  # logit of masked keys


def efficient_affinity(
    theta: Tensor, phi: Tensor, *, mask: Tensor | None = None
) -> Tensor:
    """Compute the matrix of weights that efficient attention implies.

    Args:
        theta: queries, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        mask: as for `efficient`.

    Returns:
        `(batch, n, m)`, float32 or wider; each row sums to one.

    Raises:
        ValueError: the mask does not fit the keys.
    """
    queries, keys = _factors(theta, phi, checked_mask(mask, phi))
    return ops.matmul(queries, ops.swapaxes(keys, 1, 2))


def efficient(
    theta: Tensor, phi: Tensor, g: Tensor, *, mask: Tensor | None = None
) -> Tensor:
    """Compute y = rho_q(theta) (rho_k(phi)^T g) in O((n + m) d c) time.

    rho_q is a softmax over the d channels of each query, rho_k a softmax over
    the m keys of each channel.

    Args:
        theta: queries, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        g: values, `(batch, m, c)`.
        mask: boolean `(batch, m)`, True for the keys that count. Others have
            weight zero whatever they hold, NaN included. Without a key y is
            zero.

    Returns:
        `(batch, n, c)` in the dtype of `g`; computed in float32 or wider.

    Raises:
        ValueError: the mask does not fit the keys.

    Reference:
        Shen et al., Efficient Attention: Attention with Linear Complexities,
        WACV 2021.
    """
    mask, dtype = checked_mask(mask, phi), g.dtype
    queries, keys = _factors(theta, phi, mask)
    g = zero_masked(at_least_float32(g), mask)
    context = ops.matmul(ops.swapaxes(keys, 1, 2), g)  # (b, d, c)
    return ops.cast(ops.matmul(queries, context), dtype)


def _factors(
    theta: Tensor, phi: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    theta, phi = at_least_float32(theta), at_least_float32(phi)
    return softmax_along(theta, 2), softmax_of_keys(phi, mask)


def softmax_of_keys(x: Tensor, mask: Tensor | None) -> Tensor:
    """Compute a softmax over the keys of each channel.

    Args:
        x: `(batch, m, ...)`, float32 or wider.
        mask: boolean `(batch, m)` or None; the weights of others are zero, all
            weights if no key counts.
    """
    if mask is None:
        return softmax_along(x, 1)
    mask = ops.reshape(mask, (*ops.shape(mask), *(1 for _ in x.shape[2:])))
    # Not -inf, with which the weights, and their gradient, without a key are
    # NaN.
    weights = softmax_along(ops.where(mask, x, ops.cast(LOWEST, x.dtype)), 1)
    return ops.where(mask, weights, ops.zeros_like(weights))


def softmax_along(x: Tensor, axis: int) -> Tensor:
    """Compute a softmax; Keras' warns where the axis has one element."""
    if x.shape[axis] == 1:
        return 0 * x + 1
    return ops.softmax(x, axis=axis)
