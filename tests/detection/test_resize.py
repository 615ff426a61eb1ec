"""Resizing beside PyTorch's numbers."""

import numpy as np
import pytest

from nonlocal_tf.detection import resize
from tests.detection import golden

STORED = golden.group("keypoints", "bicubic")


@pytest.mark.parametrize("number", range(6))
def test_cubic_resizing_is_pytorchs(number):
    height, width = STORED["sizes"][number]
    rows = resize.cubic_weights(13, height)
    columns = resize.cubic_weights(11, width)
    got = rows @ STORED["input"] @ columns.T
    expected = STORED[f"output{number}"]
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "weights", [resize.linear_weights, resize.cubic_weights]
)
@pytest.mark.parametrize(("cells", "size"), [(5, 13), (13, 5), (7, 7), (1, 3)])
def test_a_constant_stays_itself(weights, cells, size):
    got = weights(cells, size)
    assert got.shape == (size, cells)
    np.testing.assert_allclose(got.sum(-1), 1, rtol=0, atol=1e-6)


def test_linear_resizing_is_numpys_interpolation():
    values = np.array([3.0, -1.0, 4.0, 1.5, 9.0])
    at = np.clip((np.arange(13) + 0.5) * 5 / 13 - 0.5, 0, 4)
    got = resize.linear_weights(5, 13) @ values
    np.testing.assert_allclose(got, np.interp(at, range(5), values), atol=1e-6)
