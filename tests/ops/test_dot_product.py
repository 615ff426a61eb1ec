import keras
import numpy as np
import pytest

from nonlocal_tf import ops
from nonlocal_tf.ops import _dot_product
from tests.harness import normal


def inputs():
    """Random theta (2, 7, 3), phi (2, 5, 3), g (2, 5, 11)."""
    return normal((2, 7, 3), 1), normal((2, 5, 3), 2), normal((2, 5, 11), 3)


def test_affinity_times_g_is_the_output():
    theta, phi, g = inputs()
    weights = keras.ops.convert_to_numpy(ops.dot_product_affinity(theta, phi))
    y = keras.ops.convert_to_numpy(ops.dot_product(theta, phi, g))
    # Two orders of the same float32 sum.
    np.testing.assert_allclose(y, weights @ g, rtol=1e-5, atol=1e-6)


def test_products_beyond_float16_do_not_overflow():
    theta = np.full((1, 1, 2), 300.0, "float16")
    phi = np.full((1, 2, 2), 300.0, "float16")
    g = np.full((1, 2, 1), 2.0**-10, "float16")
    y = keras.ops.convert_to_numpy(ops.dot_product(theta, phi, g))
    # 300 * 300 * 2 = 180000 is above float16's 65504.
    np.testing.assert_allclose(y, 180000 * 2.0**-10, rtol=1e-3)


def chosen_method(monkeypatch, n, m, d, c):
    """Return the method that "auto" chooses."""
    affinities = []

    def affinity(theta, phi, **_):
        affinities.append(1)
        return keras.ops.matmul(theta, keras.ops.swapaxes(phi, 1, 2))

    monkeypatch.setattr(_dot_product, "dot_product_affinity", affinity)
    theta, phi, g = (normal((1, *s)) for s in ((n, d), (m, d), (m, c)))
    ops.dot_product(theta, phi, g)
    return "plain" if affinities else "associative"


@pytest.mark.parametrize(
    ("n", "m", "d", "c", "expected"),
    [
        (31, 31, 25, 25, "associative"),  # d (n + m) < 2 n m
        (31, 7, 21, 21, "plain"),  # res4's ratio: 784, 196, 512
        (5, 5, 5, 5, "plain"),  # a tie
        (40, 40, 8, 3, "associative"),
        (6, 6, 40, 30, "plain"),
    ],
)
def test_auto_has_fewer_multiplications(monkeypatch, n, m, d, c, expected):
    assert chosen_method(monkeypatch, n, m, d, c) == expected
    associative, plain = d * c * (n + m), n * m * (d + c)
    assert (associative < plain) == (expected == "associative")
