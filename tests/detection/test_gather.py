"""Batched gathers."""

import numpy as np
import pytest

from nonlocal_tf.detection import gather
from tests.harness import normal


@pytest.mark.parametrize("row", [(), (3,), (3, 7)])
@pytest.mark.parametrize("shape", [(4,), (4, 6)])
def test_rows_are_of_their_own_example(row, shape):
    x = normal((2, 5, *row))
    indices = np.random.default_rng(0).integers(0, 5, (2, *shape))
    expected = np.stack([x[0][indices[0]], x[1][indices[1]]])
    np.testing.assert_array_equal(gather.rows(x, indices), expected)


def test_class_maps_are_of_the_label_of_each_roi():
    maps = normal((3, 2, 5, 7))
    expected = np.stack([maps[0, ..., 4], maps[1, ..., 0], maps[2, ..., 6]])
    np.testing.assert_array_equal(
        gather.class_maps(maps, np.array([4, 0, 6])), expected
    )
