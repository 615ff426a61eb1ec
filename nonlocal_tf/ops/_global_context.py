"""Global context: f(x_i, x_j) = exp(b_j), C(x) = sum_j f.

The logit b_j depends on the key alone, so that all queries have the same
weights, and y is one vector per example.
"""

from keras import ops

from nonlocal_tf.ops._efficient import softmax_of_keys
from nonlocal_tf.ops._precision import at_least_float32
from nonlocal_tf.ops._visible_keys import checked_mask, zero_masked
from nonlocal_tf.typing import Tensor


def global_context_affinity(
    b: Tensor, n: int | Tensor, *, mask: Tensor | None = None
) -> Tensor:
    """Compute softmax_j(b_j), the same row for all queries.

    Args:
        b: logit of each key, `(batch, m)`.
        n: number of queries.
        mask: as for `global_context`.

    Returns:
        `(batch, n, m)`, float32 or wider.

    Raises:
        ValueError: the mask does not fit the keys.
    """
    weights = softmax_of_keys(at_least_float32(b), checked_mask(mask, b))
    return _repeat(weights, n)


def global_context(
    b: Tensor, g: Tensor, n: int | Tensor, *, mask: Tensor | None = None
) -> Tensor:
    """Compute y_i = sum_j softmax_j(b_j) g_j, the same for all queries i.

    Takes O(m c) time, and O(n c) to repeat y.

    Args:
        b: logit of each key, `(batch, m)`.
        g: values, `(batch, m, c)`.
        n: number of queries.
        mask: boolean `(batch, m)`, True for the keys that count. Others have
            weight zero whatever they hold, NaN included. Without a key y is
            zero.

    Returns:
        `(batch, n, c)` in the dtype of `g`; computed in float32 or wider.

    Raises:
        ValueError: the mask does not fit the keys.

    Reference:
        Cao et al., GCNet: Non-local Networks Meet Squeeze-Excitation Networks
        and Beyond, ICCV Workshops 2019; its simplified
        non-local block.
    """
    mask, dtype = checked_mask(mask, b), g.dtype
    weights = softmax_of_keys(at_least_float32(b), mask)
    g = zero_masked(at_least_float32(g), mask)
    y = ops.matmul(ops.expand_dims(weights, 1), g)[:, 0]  # (b, c)
    # Not cast before: the gradient sums over the queries in float32.
    return ops.cast(_repeat(y, n), dtype)


def _repeat(row: Tensor, n: int | Tensor) -> Tensor:
    """Repeat `(batch, k)` to `(batch, n, k)`."""
    return ops.expand_dims(row, 1) + ops.zeros((1, n, 1), row.dtype)
