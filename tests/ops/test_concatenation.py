import keras
import numpy as np

from nonlocal_tf import ops
from tests.harness import normal
from tests.layers.blocks import full_on_jax
from tests.ops import reference
from tests.ops.execution import relative_error


@full_on_jax
def test_affinity_times_g_is_the_output():
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


@full_on_jax
def test_thousands_of_keys():
    # Three levels of prefix sums: rows, blocks of 32, blocks of blocks.
    arrays = normal((1, 11), 1), normal((1, 2100), 2), normal((1, 2100, 2), 3)
    y = keras.ops.convert_to_numpy(ops.concatenation(*arrays))
    expected = reference.concatenation(*arrays, np.zeros((1, 11, 2)))[0]
    assert relative_error(y, expected) <= 5e-7


@full_on_jax
def test_a_nan_affects_only_its_query_or_example():
    a, b, g = normal((2, 70), 1), normal((2, 50), 2), normal((2, 50, 3), 3)
    expected = keras.ops.convert_to_numpy(ops.concatenation(a, b, g))
    a[0, 4] = b[1, 7] = np.nan
    y = keras.ops.convert_to_numpy(ops.concatenation(a, b, g))
    assert np.isnan(y[0, 4]).all()
    assert np.isnan(y[1]).any()
    np.testing.assert_array_equal(y[0, :4], expected[0, :4])
    np.testing.assert_array_equal(y[0, 5:], expected[0, 5:])
