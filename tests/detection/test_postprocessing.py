"""Postprocessing of outputs, compared with torchvision."""

import numpy as np
import pytest

from nonlocal_tf.detection import postprocessing
from tests.detection import golden


@pytest.mark.parametrize("number", [0, 1, 2])
def test_rescaled_boxes_equal_torchvision(number):
    stored = golden.group("transform", f"case{number}")
    actual = postprocessing.rescale_boxes(
        stored["resized_boxes"], stored["image_size"], stored["image"].shape[:2]
    )
    expected = stored["boxes_back"]
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=2e-5)
