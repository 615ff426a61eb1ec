import keras
import numpy as np
import pytest

from nonlocal_tf import preprocess


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32"])
def test_normalize_is_the_authors_formula(dtype):
    pixels = np.array([[0, 57, 115, 255]], dtype)
    expected = [[-2.0, -1.0065359, 0.0043573, 2.4444444]]  # by hand
    y = keras.ops.convert_to_numpy(preprocess.normalize(pixels))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, expected, rtol=1e-5)
