"""Max pooling and its gradients against loops."""

import itertools

import numpy as np
import pytest

from nonlocal_tf.ops import max_pool
from tests.harness import array, normal
from tests.ops.execution import MODES, value_and_gradients

# Shape, pool size, strides, padding.
KINDS = {
    "sequence": ((2, 7, 3), (2,), (2,), (0,)),
    "image": ((2, 7, 5, 3), (3, 2), (3, 2), (0, 0)),
    "image of a ResNet": ((2, 8, 7, 3), (3, 3), (2, 2), (1, 1)),
    "block": ((2, 5, 7, 4, 3), (1, 2, 2), (1, 2, 2), (0, 0, 0)),
    "pool2, odd": ((2, 5, 7, 4, 3), (2, 1, 1), (2, 1, 1), (0, 0, 0)),
    "pool1": ((2, 4, 7, 8, 3), (1, 3, 3), (1, 2, 2), (0, 0, 0)),
    "pool1 strided": ((2, 4, 7, 8, 3), (2, 3, 3), (2, 2, 2), (0, 0, 0)),
    "slowfast": ((2, 4, 8, 7, 3), (1, 3, 3), (1, 2, 2), (0, 1, 1)),
    "mmaction2": ((2, 5, 8, 7, 3), (1, 3, 3), (2, 2, 2), (0, 1, 1)),
    "overlapping": ((2, 7, 4, 5, 3), (3, 1, 1), (2, 1, 1), (1, 0, 0)),
    "identity": ((2, 5, 7, 4, 3), (1, 1, 1), (1, 1, 1), (0, 0, 0)),
}


def by_loops(x, dy, pool, strides, padding):
    """Compute maxima of windows and their gradients, one by one."""
    ends = [(0, 0), *((p, p) for p in padding), (0, 0)]
    x = np.pad(x, ends, constant_values=-np.inf)
    y, dx = np.zeros_like(dy), np.zeros_like(x)
    for index in itertools.product(*map(range, y.shape)):
        example, *position, channel = index
        window = (
            example,
            *(
                slice(i * s, i * s + k)
                for i, s, k in zip(position, strides, pool, strict=True)
            ),
            channel,
        )
        y[index] = x[window].max()
        dx[window] += dy[index] * (x[window] == y[index])
    inside = tuple(slice(a, -b or None) for a, b in ends)
    return y, dx[inside]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_value_and_gradient(kind, mode):
    shape, pool, strides, padding = KINDS[kind]
    x = normal(shape)  # no ties
    sizes = zip(shape[1:-1], pool, strides, padding, strict=True)
    counts = [(n + 2 * p - k) // s + 1 for n, k, s, p in sizes]
    dy = normal((shape[0], *counts, shape[-1]), 1)
    results = value_and_gradients(
        lambda x: max_pool(x, pool, strides, padding),
        [x],
        dy,
        mode,
        lambda array: (None,) * (array.ndim - 1) + array.shape[-1:],
    )
    y, dx = by_loops(x, dy, pool, strides, padding)
    np.testing.assert_array_equal(results[0], y)
    # A gradient is a sum of up to four of dy.
    np.testing.assert_allclose(results[1], dx, rtol=1e-6, atol=1e-6)


def test_strides_default_to_the_pool_size():
    x = normal((2, 5, 7, 4, 3))
    np.testing.assert_array_equal(
        array(max_pool(x, (2, 3, 4))),
        array(max_pool(x, (2, 3, 4), (2, 3, 4), (0, 0, 0))),
    )


def test_padding_is_never_the_maximum():
    x = -1 - np.abs(normal((1, 4, 5, 5, 2)))
    y = array(max_pool(x, (1, 3, 3), (1, 2, 2), (0, 1, 1)))
    assert y.max() < -1
