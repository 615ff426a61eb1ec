"""Masks of a class, and pasting compared with torchvision."""

import numpy as np
import pytest

from nonlocal_tf.detection import masks
from tests.detection import golden
from tests.harness import normal

STORED = golden.group("keypoints", "paste")


def test_expanded_boxes_equal_torchvision():
    actual = masks.expand_boxes(STORED["boxes"], 28)
    np.testing.assert_array_equal(actual, STORED["expanded_boxes"])


def test_pasted_masks_equal_torchvision():
    size = tuple(STORED["image_size"])
    actual = masks.paste(STORED["masks"][:, 0], STORED["boxes"], size)
    np.testing.assert_allclose(actual, STORED["pasted"], rtol=0, atol=1e-5)
    is_near = np.abs(STORED["pasted"] - masks.THRESHOLD) < 1e-5
    binary = actual >= masks.THRESHOLD
    np.testing.assert_array_equal(binary | is_near, STORED["binary"] | is_near)


def test_a_mask_outside_of_the_image_leaves_it_empty():
    mask = np.ones((1, 28, 28), "float32")
    outside = np.array([[-90.0, 2, -50, 9]], "float32")
    assert not masks.paste(mask, outside, (11, 13)).any()


@pytest.mark.parametrize(("cells", "size"), [(5, 13), (13, 5), (7, 7), (1, 3)])
def test_linear_resizing_keeps_a_constant(cells, size):
    weights = masks.linear_weights(cells, size)
    assert weights.shape == (size, cells)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=0, atol=1e-6)


def test_linear_resizing_equals_numpy_interpolation():
    values = np.array([3.0, -1.0, 4.0, 1.5, 9.0])
    positions = np.clip((np.arange(13) + 0.5) * 5 / 13 - 0.5, 0, 4)
    expected = np.interp(positions, range(5), values)
    actual = masks.linear_weights(5, 13) @ values
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_class_maps_are_of_the_label_of_each_roi():
    maps = normal((3, 2, 5, 7))
    expected = np.stack([maps[0, ..., 4], maps[1, ..., 0], maps[2, ..., 6]])
    np.testing.assert_array_equal(
        masks.class_maps(maps, np.array([4, 0, 6])), expected
    )
