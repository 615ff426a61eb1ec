"""Reference: non-local operations and gradients as float64 NumPy matrices.

`tests/ops/test_reference.py` compares them with loops and finite differences.
"""

import numpy as np


def softmax(theta, phi, g, dy, scale=1.0, visible=True):
    """Compute y, dtheta, dphi, dg of the (embedded) Gaussian.

    `visible` broadcasts to `(batch, n, m)`: which keys a query sees.
    """
    theta, phi, g, dy = _float64(theta, phi, g, dy)
    logits = scale * theta @ _t(phi)
    weights = np.exp(logits - logits.max(-1, keepdims=True)) * visible
    weights /= np.maximum(weights.sum(-1, keepdims=True), 1e-300)
    dweights = dy @ _t(g)
    dlogits = weights * (dweights - (weights * dweights).sum(-1, keepdims=True))
    return (
        weights @ g,
        scale * dlogits @ phi,
        scale * _t(dlogits) @ theta,
        _t(weights) @ dy,
    )


def dot_product(theta, phi, g, dy, visible=True):
    """Compute y, dtheta, dphi, dg of the dot product.

    `visible` broadcasts to `(batch, n, m)`: which keys a query sees.
    """
    theta, phi, g, dy = _float64(theta, phi, g, dy)
    share = _share(theta, phi, visible)
    weights, dweights = theta @ _t(phi) * share, dy @ _t(g) * share
    return weights @ g, dweights @ phi, _t(dweights) @ theta, _t(weights) @ dy


def concatenation(a, b, g, dy, visible=True):
    """Compute y, da, db, dg of the concatenation; `visible` as above."""
    a, b, g, dy = _float64(a, b, g, dy)
    share = _share(a, b, visible)
    sums = a[:, :, None] + b[:, None, :]
    weights = np.maximum(sums, 0.0) * share
    dsums = (sums > 0) * (dy @ _t(g)) * share
    return weights @ g, dsums.sum(2), dsums.sum(1), _t(weights) @ dy


def efficient(theta, phi, g, dy, mask=1):
    """Compute y, dtheta, dphi, dg of efficient attention.

    `mask` is `(batch, m)` or 1: which keys count.
    """
    theta, phi, g, dy = _float64(theta, phi, g, dy)
    queries, keys = _softmax(theta, 2), _masked_softmax(phi, mask)
    context, dcontext = _t(keys) @ g, _t(queries) @ dy
    dqueries, dkeys = dy @ _t(context), g @ _t(dcontext)
    return (
        queries @ context,
        queries * (dqueries - (queries * dqueries).sum(2, keepdims=True)),
        keys * (dkeys - (keys * dkeys).sum(1, keepdims=True)),
        keys @ dcontext,
    )


def global_context(b, g, dy, mask=1):
    """Compute y, db, dg of the global context; `mask` as above."""
    b, g, dy = _float64(b, g, dy)
    weights = _masked_softmax(b[:, :, None], mask)
    dy_of_all = dy.sum(1, keepdims=True)
    dweights = g @ _t(dy_of_all)
    mean = (weights * dweights).sum(1, keepdims=True)
    return (
        _t(weights) @ g + 0 * dy,
        (weights * (dweights - mean))[:, :, 0],
        weights @ dy_of_all,
    )


def _softmax(x, axis):
    weights = np.exp(x - x.max(axis, keepdims=True))
    return weights / weights.sum(axis, keepdims=True)


def _masked_softmax(x, mask):
    """Compute a softmax over the keys of `(batch, m, d)` that count."""
    weights = np.exp(x) * np.asarray(mask)[..., None]
    return weights / np.maximum(weights.sum(1, keepdims=True), 1e-300)


def _share(queries, keys, visible):
    """Compute 1 / C(x) for the keys that a query sees, 0 for the others."""
    visible = np.broadcast_to(
        visible, (len(keys), queries.shape[1], keys.shape[1])
    )
    return visible / np.maximum(visible.sum(2, keepdims=True), 1)


def _float64(*arrays):
    return (np.asarray(x, "float64") for x in arrays)


def _t(x):
    return np.swapaxes(x, 1, 2)


def visible_keys(n, m, mask=None, steps=None):
    """Return which keys each query sees, `(batch, n, m)`, position by position.

    Args:
        n: number of queries.
        m: number of keys.
        mask: `(batch, m)`, or None for a batch of 1 that counts all keys.
        steps: number of groups in time.
    """
    mask = np.ones((1, m), bool) if mask is None else mask
    steps = steps or 1
    visible = np.zeros((len(mask), n, m), bool)
    for example, i, j in np.ndindex(visible.shape):
        is_past = j // (m // steps) <= i // (n // steps)
        visible[example, i, j] = is_past and mask[example, j]
    return visible
