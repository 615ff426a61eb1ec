"""Gaussian and embedded Gaussian: f(x_i, x_j) = exp(theta_i . phi_j).

With C(x) = sum_j f the operation is a softmax over the positions j (paper,
section 3.2), so both functions share this module: the Gaussian passes x itself
for theta and phi.
"""

from keras import ops

from nonlocal_tf.ops.precision import at_least_float32


def softmax_affinity(theta, phi, scale=1.0):
    """Weights softmax_j(scale * theta_i . phi_j), each row summing to one.

    Args:
        theta: queries, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        scale: factor on the logits; the paper uses 1, its code d ** -0.5.

    Returns:
        `(batch, n, m)`, float32 or wider.
    """
    theta, phi = at_least_float32(theta), at_least_float32(phi)
    logits = ops.matmul(theta * scale, ops.swapaxes(phi, 1, 2))  # (b, n, m)
    return ops.softmax(logits, axis=-1)


def softmax(theta, phi, g, scale=1.0):
    """y_i = sum_j softmax_j(scale * theta_i . phi_j) g_j.

    O(n m (d + c)) time, O(n m) memory.

    Args:
        theta: queries, `(batch, n, d)`.
        phi: keys, `(batch, m, d)`.
        g: values, `(batch, m, c)`.
        scale: factor on the logits.

    Returns:
        `(batch, n, c)` in the dtype of `g`; float32 or wider inside.

    Reference:
        Wang et al., Non-local Neural Networks, CVPR 2018, equations 1 to 3.
    """
    weights = softmax_affinity(theta, phi, scale)
    return ops.cast(ops.matmul(weights, at_least_float32(g)), g.dtype)
