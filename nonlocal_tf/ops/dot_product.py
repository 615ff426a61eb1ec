"""Dot product: f(x_i, x_j) = theta_i . phi_j, C(x) = m."""

from keras import ops

from nonlocal_tf.ops.precision import at_least_float32


def dot_product_affinity(theta, phi):
    """Weights theta_i . phi_j / m; they may be negative.

    Args:
        theta: queries, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.

    Returns:
        `(batch, n, m)`, float32 or wider.
    """
    theta, phi = at_least_float32(theta), at_least_float32(phi)
    positions = ops.cast(ops.shape(phi)[1], phi.dtype)
    return ops.matmul(theta, ops.swapaxes(phi, 1, 2)) / positions


def dot_product(theta, phi, g):
    """y_i = 1/m sum_j (theta_i . phi_j) g_j.

    O(n m (d + c)) time, O(n m) memory.

    Args:
        theta: queries, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        g: values, `(batch, m, c)`.

    Returns:
        `(batch, n, c)` in the dtype of `g`; float32 or wider inside.

    Reference:
        Wang et al., Non-local Neural Networks, CVPR 2018, equation 4.
    """
    weights = dot_product_affinity(theta, phi)
    return ops.cast(ops.matmul(weights, at_least_float32(g)), g.dtype)
