"""Concatenation: f(x_i, x_j) = ReLU(w_f . [theta_i, phi_j]), C(x) = m.

The two halves of w_f act apart, w_f . [theta_i, phi_j] = a_i + b_j with
a = w_f[:d] . theta and b = w_f[d:] . phi, so these functions take a and b and
no tensor of pairs of vectors is ever built.
"""

from keras import ops

from nonlocal_tf.ops.precision import at_least_float32


def concatenation_affinity(a, b):
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


def concatenation(a, b, g):
    """y_i = 1/m sum_j ReLU(a_i + b_j) g_j.

    O(n m c) time, O(n m) memory.

    Args:
        a: what each query contributes, `(batch, n)`.
        b: what each key contributes, `(batch, m)`.
        g: values, `(batch, m, c)`.

    Returns:
        `(batch, n, c)` in the dtype of `g`; float32 or wider inside.

    Reference:
        Wang et al., Non-local Neural Networks, CVPR 2018, equation 5.
    """
    weights = concatenation_affinity(a, b)
    return ops.cast(ops.matmul(weights, at_least_float32(g)), g.dtype)
