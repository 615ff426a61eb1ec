"""Max pooling over time, height and width, in the fastest exact form.

Three-dimensional max pooling is separable: it is pooling over space of the
result of pooling over time, which is several times faster. Where elements of a
window are equal, the gradient goes to one of them, not always to the one that
the three-dimensional form chooses.
"""

import functools
import math
from collections.abc import Sequence

import keras
from keras import ops

from nonlocal_tf.ops._convolution import same_padding
from nonlocal_tf.typing import Tensor


def max_pool(
    x: Tensor,
    pool_size: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: Sequence[int] | None = None,
) -> Tensor:
    """Max-pool; incomplete windows at the end of an axis are dropped.

    Args:
        x: `(batch, n, c)`, `(batch, h, w, c)` or `(batch, t, h, w, c)`.
        pool_size: size of the window along each axis.
        strides: stride along each axis. Default: `pool_size`.
        padding: minus infinities at each end of each axis. Default: 0.

    Returns:
        The pooled feature map, of the rank of `x`, each axis of size
        `(size + 2 * padding - pool_size) // stride + 1`.
    """
    pool_size = tuple(pool_size)
    strides = tuple(strides or pool_size)
    padding = tuple(padding or (0,) * len(pool_size))
    if math.prod(pool_size) * math.prod(strides) == 1:
        return x
    if _has_symbols(x) and strides == pool_size and not any(padding):
        return _adjacent_windows(x, pool_size)
    if len(pool_size) < 3:
        return _plain(x, pool_size, strides, padding)
    x = _pool_time(x, pool_size[0], strides[0], padding[0])
    if math.prod(pool_size[1:]) * math.prod(strides[1:]) == 1:
        return x
    batch, time, *sizes, channels = ops.shape(x)
    x = ops.reshape(x, (batch * time, *sizes, channels))
    x = _plain(x, pool_size[1:], strides[1:], padding[1:])
    return ops.reshape(x, (batch, time, *ops.shape(x)[1:]))


def _has_symbols(x: Tensor) -> bool:
    """Return True in an export from JAX that has symbols for sizes."""
    return keras.backend.backend() == "jax" and not all(
        isinstance(size, int) for size in ops.shape(x)[1:]
    )


def _adjacent_windows(x: Tensor, pool_size: Sequence[int]) -> Tensor:
    """Max-pool windows that touch, by one reshape for each axis.

    The sizes are `size // pool` then, whose products JAX knows not to be
    negative; those of its pooling are `(size - pool) // pool + 1`.
    """
    for axis, window in enumerate(pool_size, 1):
        if window == 1:
            continue
        *before, size = ops.shape(x)[: axis + 1]
        after = ops.shape(x)[axis + 1 :]
        count = size // window
        x = x[(slice(None),) * axis + (slice(count * window),)]
        x = ops.reshape(x, (*before, count, window, *after))
        x = ops.max(x, axis=axis + 1)
    return x


def _pool_time(x: Tensor, size: int, stride: int, padding: int) -> Tensor:
    if size * stride == 1:
        return x
    batch, time, height, width, channels = ops.shape(x)
    if size == stride and not padding:
        # Adjacent windows: the maximum of their first, second, ... frames.
        pooled_time = time // size * size
        if not (isinstance(time, int) and pooled_time == time):
            x = x[:, :pooled_time]
        x = ops.reshape(x, (batch, time // size, size, height, width, channels))
        frames = ops.unstack(x, size, axis=2)
        return functools.reduce(ops.maximum, frames)
    x = ops.reshape(x, (batch, time, height * width, channels))
    x = _plain(x, (size, 1), (stride, 1), (padding, 0))
    return ops.reshape(x, (batch, ops.shape(x)[1], height, width, channels))


def _plain(
    x: Tensor,
    pool_size: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[int],
) -> Tensor:
    if same_padding(x.shape[1:-1], pool_size, strides, padding):
        return ops.max_pool(x, pool_size, strides, "same", "channels_last")
    if any(padding):
        ends = [(0, 0), *((p, p) for p in padding), (0, 0)]
        x = ops.pad(x, ends, constant_values=-math.inf)
    return ops.max_pool(x, pool_size, strides, "valid", "channels_last")
