import keras
import numpy as np

from nonlocal_tf.ops import _rows
from tests.harness import normal


def test_take_rows_of_each_example():
    x, index = normal((2, 5, 3)), np.array([[4, 0, 0], [1, 2, 3]], "int32")
    y = keras.ops.convert_to_numpy(_rows.take_rows(x, index))
    np.testing.assert_array_equal(y, [x[0, [4, 0, 0]], x[1, [1, 2, 3]]])


def test_invert_permutation_of_each_example():
    order = np.array([[2, 0, 1, 3], [3, 1, 2, 0]], "int32")
    inverse = keras.ops.convert_to_numpy(_rows.invert_permutation(order))
    np.testing.assert_array_equal(inverse, np.argsort(order, axis=1))
