"""Maxima over boxes of time, height and width, in the fastest exact form.

Three-dimensional pooling is several times slower than its parts: a maximum
over a box is the maximum in space of the maxima in time. Where two elements of
a box are equal its gradient goes to one of them, not always to the same one as
in other forms.
"""

import functools
import math
from collections.abc import Sequence

from keras import ops

from nonlocal_tf.ops.convolution import same_padding
from nonlocal_tf.typing import Tensor


def max_pool(
    x: Tensor,
    pool: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: Sequence[int] | None = None,
) -> Tensor:
    """Maxima over boxes; what does not fill a box at the end is left out.

    Args:
        x: `(batch, n, c)`, `(batch, h, w, c)` or `(batch, t, h, w, c)`.
        pool: size of the boxes, an axis.
        strides: from box to box, an axis. Default: `pool`.
        padding: how far boxes reach beyond each end, an axis; there is nothing
            there, so that it is never the maximum. Default: 0.

    Returns:
        The pooled feature map, of the rank of `x`, each axis of size
        `(size + 2 * padding - pool) // stride + 1`.
    """
    pool = tuple(pool)
    strides = tuple(strides or pool)
    padding = tuple(padding or (0,) * len(pool))
    if math.prod(pool) * math.prod(strides) == 1:
        return x
    if len(pool) < 3:
        return _plain(x, pool, strides, padding)
    x = _pool_time(x, pool[0], strides[0], padding[0])
    if math.prod(pool[1:]) * math.prod(strides[1:]) == 1:
        return x
    batch, time, *sizes, channels = ops.shape(x)
    x = ops.reshape(x, (batch * time, *sizes, channels))
    x = _plain(x, pool[1:], strides[1:], padding[1:])
    return ops.reshape(x, (batch, time, *ops.shape(x)[1:]))


def _pool_time(x: Tensor, pool: int, stride: int, padding: int) -> Tensor:
    if pool * stride == 1:
        return x
    batch, time, height, width, channels = ops.shape(x)
    if pool == stride and not padding:
        # Boxes side by side: the maximum of every first, every second, ...
        kept = time // pool * pool
        if not (isinstance(time, int) and kept == time):
            x = x[:, :kept]
        x = ops.reshape(x, (batch, time // pool, pool, height, width, channels))
        frames = ops.unstack(x, pool, axis=2)
        return functools.reduce(ops.maximum, frames)
    x = ops.reshape(x, (batch, time, height * width, channels))
    x = _plain(x, (pool, 1), (stride, 1), (padding, 0))
    return ops.reshape(x, (batch, ops.shape(x)[1], height, width, channels))


def _plain(
    x: Tensor,
    pool: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[int],
) -> Tensor:
    if same_padding(x.shape[1:-1], pool, strides, padding):
        return ops.max_pool(x, pool, strides, "same", "channels_last")
    if any(padding):
        ends = [(0, 0), *((p, p) for p in padding), (0, 0)]
        x = ops.pad(x, ends, constant_values=-math.inf)
    return ops.max_pool(x, pool, strides, "valid", "channels_last")
