import keras
import numpy as np

from nonlocal_tf import ops
from tests.harness import normal
from tests.ops.loops import concatenation_f, nonlocal_loop


def test_equals_the_double_loop():
    theta, phi = normal((2, 7, 3), 1), normal((2, 5, 3), 2)
    g, w_f = normal((2, 5, 11), 3), normal((6,), 4)
    expected = [
        nonlocal_loop(
            concatenation_f(t, p, w_f.astype("float64")),
            v.astype("float64"),
            normalise_by_sum=False,
        )
        for t, p, v in zip(
            theta.astype("float64"), phi.astype("float64"), g, strict=True
        )
    ]
    y = keras.ops.convert_to_numpy(
        ops.concatenation(theta @ w_f[:3], phi @ w_f[3:], g)
    )
    np.testing.assert_allclose(y, expected, rtol=5e-6, atol=2e-6)


def test_is_the_affinity_times_g():
    a, b, g = normal((2, 7), 1), normal((2, 5), 2), normal((2, 5, 11), 3)
    weights = keras.ops.convert_to_numpy(ops.concatenation_affinity(a, b))
    y = keras.ops.convert_to_numpy(ops.concatenation(a, b, g))
    # Two orders of the same float32 sum.
    np.testing.assert_allclose(y, weights @ g, rtol=1e-5, atol=1e-6)


def test_affinity_is_never_negative():
    weights = ops.concatenation_affinity(
        np.full((1, 3), -2.0, "float32"), np.ones((1, 5), "float32")
    )
    np.testing.assert_array_equal(weights, np.zeros((1, 3, 5)))
