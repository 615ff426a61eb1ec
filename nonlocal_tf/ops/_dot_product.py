"""Dot product: f(x_i, x_j) = theta_i . phi_j, C(x) = m.

The operation is linear in each of its three matrices, so the products can be
taken in either order: (theta phi^T) g passes through an n x m matrix,
theta (phi^T g) through a d x c one.
"""

from typing import Literal, get_args

from keras import ops

from nonlocal_tf.choices import unknown
from nonlocal_tf.ops._precision import at_least_float32
from nonlocal_tf.typing import Tensor

DotProductMethod = Literal["auto", "plain", "associative"]
DOT_PRODUCT_METHODS = get_args(DotProductMethod)


def dot_product_affinity(theta: Tensor, phi: Tensor) -> Tensor:
    """Compute the weights theta_i . phi_j / m, which may be negative.

    Args:
        theta: queries, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.

    Returns:
        `(batch, n, m)`, float32 or wider.
    """
    theta, phi = at_least_float32(theta), at_least_float32(phi)
    positions = ops.cast(ops.shape(phi)[1], phi.dtype)
    return ops.matmul(theta, ops.swapaxes(phi, 1, 2)) / positions


def dot_product(
    theta: Tensor, phi: Tensor, g: Tensor, method: DotProductMethod = "auto"
) -> Tensor:
    """Compute y_i = 1/m sum_j (theta_i . phi_j) g_j.

    Args:
        theta: queries, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        g: values, `(batch, m, c)`.
        method: `"associative"` takes O((n + m) d c) time and O(d c) memory,
            `"plain"` O(n m (d + c)) and O(n m). Both are exact; `"auto"`
            chooses the one with fewer multiplications, which for c = d is
            associative where d (n + m) < 2 n m. Where n or m is unknown until
            the graph runs, the graph chooses.

    Returns:
        `(batch, n, c)` in the dtype of `g`; computed in float32 or wider.

    Raises:
        ValueError: unknown method.

    Reference:
        Wang et al., Non-local Neural Networks, CVPR 2018, section 3.2,
        equation 4.
    """
    if method not in DOT_PRODUCT_METHODS:
        raise ValueError(unknown("method", method, DOT_PRODUCT_METHODS))
    dtype = g.dtype
    theta, phi, g = (at_least_float32(x) for x in (theta, phi, g))

    def plain() -> Tensor:
        return ops.matmul(dot_product_affinity(theta, phi), g)

    def associative() -> Tensor:
        positions = ops.cast(ops.shape(phi)[1], phi.dtype)
        # Divide here: the matrix is small and its entries do not grow with m.
        phi_g = ops.matmul(ops.swapaxes(phi, 1, 2), g) / positions  # (b, d, c)
        return ops.matmul(theta, phi_g)

    if method == "plain":
        y = plain()
    elif method == "associative":
        y = associative()
    else:
        prefer_associative = _prefer_associative(theta, phi, g)
        if isinstance(prefer_associative, bool):
            y = associative() if prefer_associative else plain()
        else:
            y = ops.cond(prefer_associative, associative, plain)
    return ops.cast(y, dtype)


def _prefer_associative(theta: Tensor, phi: Tensor, g: Tensor) -> bool | Tensor:
    """Compare multiplications; a bool tensor where n or m is unknown."""
    n, m = ops.shape(theta)[1], ops.shape(phi)[1]
    d, c = theta.shape[-1], g.shape[-1]
    if not (isinstance(n, int) and isinstance(m, int)):
        # Products of sizes exceed int32.
        n, m = ops.cast(n, "float32"), ops.cast(m, "float32")
    return d * c * (n + m) < n * m * (d + c)
