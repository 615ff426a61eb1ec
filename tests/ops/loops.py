"""Non-local operation as in the paper: loops over i and j in float64."""

import numpy as np


def nonlocal_loop(f, g, normalize_by_sum, visible=None):
    """Compute y_i = 1/C(x) sum_j f(i, j) g_j of one example.

    Args:
        f: `(n, m)` affinities before normalization.
        g: `(m, c)`.
        normalize_by_sum: C(x) is sum_j f(i, j) instead of the number of keys.
        visible: `(n, m)`, which keys a query sees. Default: all. Without a
            key, y is zero.
    """
    n, m = f.shape
    y = np.zeros((n, g.shape[1]))
    for i in range(n):
        normaliser = 0.0
        for j in range(m):
            if visible is not None and not visible[i, j]:
                continue
            y[i] += f[i, j] * g[j]
            normaliser += f[i, j] if normalize_by_sum else 1.0
        if normaliser:
            y[i] /= normaliser
    return y


def gaussian_f(theta, phi, scale=1.0):
    """Compute f(i, j) = exp(scale * theta_i . phi_j)."""
    return np.array(
        [[np.exp(scale * sum(t * p)) for p in phi] for t in theta],
    )


def dot_product_f(theta, phi):
    """Compute f(i, j) = theta_i . phi_j."""
    return np.array([[sum(t * p) for p in phi] for t in theta])


def concatenation_f(theta, phi, w_f):
    """Compute f(i, j) = ReLU(w_f . [theta_i, phi_j])."""
    return np.array(
        [
            [max(0.0, sum(w_f * np.concatenate([t, p]))) for p in phi]
            for t in theta
        ]
    )


def efficient_f(theta, phi):
    """Compute f(i, j) = rho_q(theta_i) . rho_k(phi_j) of efficient attention.

    rho_q is a softmax over the channels, rho_k one over all keys.
    """
    queries = [[np.exp(x) / sum(np.exp(t)) for x in t] for t in theta]
    keys = [[np.exp(x) / sum(np.exp(p)) for x in p] for p in phi.T]
    return np.array(
        [
            [
                sum(q * k[j] for q, k in zip(t, keys, strict=True))
                for j in range(len(phi))
            ]
            for t in queries
        ]
    )


def global_context_f(theta, phi, w_f):
    """Compute f(i, j) = exp(w_f . phi_j), which does not depend on i."""
    return np.array([[np.exp(sum(w_f * p)) for p in phi] for _ in theta])
