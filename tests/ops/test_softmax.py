import keras
import numpy as np
import pytest

from nonlocal_tf import ops
from tests.harness import normal
from tests.ops.loops import gaussian_f, nonlocal_loop


def inputs(dtype="float64"):
    """theta (2, 7, 3), phi (2, 5, 3), g (2, 5, 11)."""
    return (
        normal((2, 7, 3), 1, dtype),
        normal((2, 5, 3), 2, dtype),
        normal((2, 5, 11), 3, dtype),
    )


@pytest.mark.parametrize("scale", [1.0, 0.37])
def test_equals_the_double_loop(scale):
    theta, phi, g = inputs()
    expected = [
        nonlocal_loop(gaussian_f(t, p, scale), v, normalise_by_sum=True)
        for t, p, v in zip(theta, phi, g, strict=True)
    ]
    # float32 on both backends: 24 bits over sums of at most 5 terms.
    y = keras.ops.convert_to_numpy(
        ops.softmax(*(x.astype("float32") for x in (theta, phi, g)), scale)
    )
    np.testing.assert_allclose(y, expected, rtol=2e-6, atol=2e-6)


def test_rows_of_the_affinity_sum_to_one():
    theta, phi, _ = inputs("float32")
    weights = keras.ops.convert_to_numpy(ops.softmax_affinity(theta, phi))
    assert weights.shape == (2, 7, 5)
    np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-6)


def test_is_the_affinity_times_g():
    theta, phi, g = inputs("float32")
    weights = keras.ops.convert_to_numpy(ops.softmax_affinity(theta, phi, 0.5))
    y = keras.ops.convert_to_numpy(ops.softmax(theta, phi, g, 0.5))
    # Two orders of the same float32 sum.
    np.testing.assert_allclose(y, weights @ g, rtol=1e-5, atol=1e-6)


def test_large_logits_do_not_overflow():
    theta = np.full((1, 3, 2), 200.0, "float16")
    phi = np.array([[[300.0, 300.0], [-300.0, -300.0]]], "float16")
    g = np.array([[[1.0], [9.0]]], "float16")
    y = keras.ops.convert_to_numpy(ops.softmax(theta, phi, g))
    np.testing.assert_array_equal(y, np.ones((1, 3, 1)))


def test_half_precision_gives_half_precision_of_a_float32_result():
    theta, phi, g = inputs("float32")
    half = [x.astype("float16") for x in (theta, phi, g)]
    y = keras.ops.convert_to_numpy(ops.softmax(*half))
    assert y.dtype == np.float16
    wide = ops.softmax(*(x.astype("float32") for x in half))
    np.testing.assert_array_equal(
        y, keras.ops.convert_to_numpy(wide).astype("float16")
    )
