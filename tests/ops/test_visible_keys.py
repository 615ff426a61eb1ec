import keras
import numpy as np
import pytest

from nonlocal_tf import ops
from nonlocal_tf.ops import _visible_keys
from tests.harness import normal
from tests.ops import reference

MASK = np.random.default_rng(0).random((2, 15)) < 0.5
OPTIONS = [(None, None), (MASK, None), (None, 3), (MASK, 3), (MASK, 1)]


def array(x):
    return keras.ops.convert_to_numpy(x)


@pytest.mark.parametrize(("mask", "steps"), OPTIONS)
@pytest.mark.parametrize(("first", "rows"), [(0, None), (4, 7)])
def test_visible_keys(mask, steps, first, rows):
    visible = _visible_keys.visible_keys(mask, steps, 12, 15, first, rows)
    expected = reference.visible_keys(12, 15, mask, steps)[:, first:]
    expected = expected[:, :rows]
    visible = True if visible is None else array(visible)
    np.testing.assert_array_equal(visible | np.zeros_like(expected), expected)


@pytest.mark.parametrize(("mask", "steps"), OPTIONS)
def test_count_visible_keys(mask, steps):
    counts = array(_visible_keys.count_visible_keys(mask, steps, 12, 15))
    expected = reference.visible_keys(12, 15, mask, steps).sum(2)
    np.testing.assert_array_equal(counts + np.zeros_like(expected), expected)


@pytest.mark.parametrize("shape", [(2, 15), (2, 15, 3)])
def test_zero_masked_replaces_nan(shape):
    x = normal(shape)
    x[~MASK] = np.nan
    zeroed = array(_visible_keys.zero_masked(x, MASK))
    np.testing.assert_array_equal(zeroed[MASK], x[MASK])
    np.testing.assert_array_equal(zeroed[~MASK], 0)


@pytest.mark.parametrize("shape", [(2, 14), (3, 15), (15,), (2, 15, 1)])
def test_mask_of_another_shape_is_an_error(shape):
    theta = normal((2, 15, 3))
    with pytest.raises(ValueError, match="Expected `mask`"):
        ops.softmax_affinity(theta, theta, mask=np.ones(shape, bool))


@pytest.mark.parametrize("steps", [0, -3, 3.0, "3", True, 4])
def test_steps_that_do_not_divide_are_an_error(steps):
    theta = normal((2, 15, 3))
    with pytest.raises(ValueError, match="Expected `steps`"):
        ops.softmax(theta, theta, theta, steps=steps)
