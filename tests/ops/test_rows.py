import keras
import numpy as np
import pytest

from nonlocal_tf.ops import _rows
from tests.harness import normal


@pytest.mark.parametrize("row", [(), (3, 7)])
@pytest.mark.parametrize("shape", [(4,), (4, 6)])
def test_take_rows_of_each_example(row, shape):
    x = normal((2, 5, *row))
    index = np.random.default_rng(0).integers(0, 5, (2, *shape))
    y = keras.ops.convert_to_numpy(_rows.take_rows(x, index))
    np.testing.assert_array_equal(y, [x[0][index[0]], x[1][index[1]]])


def test_invert_permutation_of_each_example():
    order = np.array([[2, 0, 1, 3], [3, 1, 2, 0]], "int32")
    inverse = keras.ops.convert_to_numpy(
        _rows.invert_permutation(keras.ops.convert_to_tensor(order))
    )
    np.testing.assert_array_equal(inverse, np.argsort(order, axis=1))
