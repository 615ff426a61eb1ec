"""NMS, compared with torchvision's C++ operator."""

import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf.detection import nms
from tests.detection import golden


@pytest.mark.parametrize("percent", [30, 50, 70])
def test_kept_boxes_equal_torchvision(percent):
    stored = golden.group("boxes", "nms")
    indices, count = nms.nms(
        stored["boxes"], stored["scores"], percent / 100, 120
    )
    expected = stored[f"keep_{percent}"]
    np.testing.assert_array_equal(indices[:count], expected)


def test_the_first_of_equal_scores_is_kept():
    stored = golden.group("boxes", "nms_ties")
    indices, count = nms.nms(stored["boxes"], stored["scores"], 0.5, 30)
    np.testing.assert_array_equal(indices[:count], stored["keep_50"])


def test_nms_compiles_under_xla():
    stored = golden.group("boxes", "nms")
    compiled = tf.function(
        lambda b, s: nms.nms(b, s, 0.5, 120), jit_compile=True
    )
    indices, count = compiled(stored["boxes"], stored["scores"])
    np.testing.assert_array_equal(indices[: int(count)], stored["keep_50"])
