"""Gradients of functions' own, as each backend calls them."""

import numpy as np
import pytest

from nonlocal_tf.ops._gradient import custom_gradient
from tests.harness import normal
from tests.ops.execution import MODES, value_and_gradients


@custom_gradient
def product(x, y):
    """Multiply, with gradients that are none of a product."""
    return x * y, lambda dy: (3 * dy, x * dy)


@pytest.mark.parametrize("mode", MODES)
def test_gradient_is_the_functions_own(mode):
    x, y, dy = (normal((2, 5, 3), seed) for seed in range(3))
    value, dx, dy_by_y = value_and_gradients(product, (x, y), dy, mode)
    np.testing.assert_array_equal(value, x * y)
    np.testing.assert_array_equal(dx, 3 * dy)
    np.testing.assert_array_equal(dy_by_y, x * dy)
