import numpy as np
import pytest

from nonlocal_tf.detection import gather
from tests.harness import normal


@pytest.mark.parametrize("row", [(), (3,), (3, 7)])
@pytest.mark.parametrize("shape", [(4,), (4, 6)])
def test_rows_are_those_of_their_example(row, shape):
    x = normal((2, 5, *row))
    places = np.random.default_rng(0).integers(0, 5, (2, *shape))
    expected = np.stack([x[0][places[0]], x[1][places[1]]])
    np.testing.assert_array_equal(gather.rows(x, places), expected)
