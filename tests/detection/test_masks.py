"""Pasting of masks beside torchvision's numbers."""

import numpy as np

from nonlocal_tf.detection import masks
from tests.detection import golden

STORED = golden.group("keypoints", "paste")


def test_expanded_boxes_are_torchvisions():
    got = masks.expanded_boxes(STORED["boxes"], 28)
    np.testing.assert_array_equal(got, STORED["expanded_boxes"])


def test_pasted_masks_are_torchvisions():
    size = tuple(STORED["image_size"])
    got = masks.paste(STORED["masks"][:, 0], STORED["boxes"], size)
    np.testing.assert_allclose(got, STORED["pasted"], rtol=0, atol=1e-5)
    is_near = np.abs(STORED["pasted"] - masks.THRESHOLD) < 1e-5
    binary = got >= masks.THRESHOLD
    np.testing.assert_array_equal(binary | is_near, STORED["binary"] | is_near)


def test_a_mask_outside_the_image_leaves_it_empty():
    mask = np.ones((1, 28, 28), "float32")
    outside = np.array([[-90.0, 2, -50, 9]], "float32")
    assert not masks.paste(mask, outside, (11, 13)).any()
