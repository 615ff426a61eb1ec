"""Arrays of an image's objects."""

import dataclasses

import numpy as np
import pytest

from nonlocal_tf.detection import roi_align
from nonlocal_tf.detection.targets import mask_targets
from tests.training.coco import riders
from training.coco import examples
from training.io.user_error import UserError

pytest.importorskip("pycocotools")

HEIGHT, WIDTH = riders.SIZE


def test_objects_and_crowds_are_separated():
    crowd = riders.instance(2, (20.0, 1.0, 40.0, 9.0), is_crowd=True)
    example = riders.example(riders.instance(), crowd)
    np.testing.assert_array_equal(example.boxes, [[4, 6, 14, 13]])
    np.testing.assert_array_equal(example.labels, [2])
    np.testing.assert_array_equal(example.crowds, [[20, 1, 40, 9]])
    assert example.masks.shape == (1, 12, 12)
    np.testing.assert_array_equal(example.keypoints[0, 1], [8, 9, 1])


def test_an_image_without_objects_has_empty_arrays():
    example = riders.example()
    assert example.boxes.shape == (0, 4) and example.crowds.shape == (0, 4)
    assert example.masks.shape == (0, 12, 12)
    assert example.keypoints.shape == (0, 3, 3)


def test_a_small_mask_is_exact():
    example = riders.example(riders.instance())
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[6:13, 4:14] = True
    np.testing.assert_array_equal(riders.image_mask(example), expected)
    np.testing.assert_array_equal(example.mask_boxes, [[3, 5, 15, 17]])


def test_a_large_mask_has_the_mean_of_each_cell():
    mask = np.random.default_rng(1).random((HEIGHT, WIDTH)) < 0.5
    inside = np.zeros_like(mask)
    inside[3:21, 6:36] = True
    mask &= inside
    crop, covered = examples.crop_mask(mask, (6.0, 3.0, 36.0, 21.0), 8)
    expected = mask[0:24, 1:41].reshape(8, 3, 8, 5).mean((1, 3))
    np.testing.assert_allclose(crop, expected, rtol=0, atol=1e-6)
    assert covered == (1, 0, 41, 24)


def test_a_mask_is_extended_beyond_the_image():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[:3, -2:] = True
    crop, covered = examples.crop_mask(mask, (40.0, 0.0, 44.0, 4.0), 6)
    expected = np.zeros((6, 6))
    expected[:4, 3:] = 1  # a row above and a column to the right, too
    np.testing.assert_array_equal(crop, expected)
    assert covered == (39, -1, 45, 5)


def test_cells_that_divide_pixels_keep_the_area():
    box, cell_px = (4.0, 4.0, 33.0, 33.0), 29 / 10
    crop, _ = examples.crop_mask(np.ones((40, 40), bool), box, 12)
    np.testing.assert_allclose(crop, 1, rtol=0, atol=1e-6)
    pixel = np.zeros((40, 40), bool)
    pixel[10, 17] = True
    crop, _ = examples.crop_mask(pixel, box, 12)
    assert crop.sum() == pytest.approx(1 / cell_px**2, abs=1e-6)


def targets_of_crop(mask, rois, cells, box, scale=1):
    """Return mask targets of RoIs from the crop of a mask."""
    crop, covered = examples.crop_mask(mask, box, cells)
    masks = np.repeat(crop[None], len(rois), axis=0)
    mask_boxes = np.float32([covered] * len(rois)) * scale
    return np.asarray(mask_targets(masks, mask_boxes, rois, 8))


def targets_of_mask(mask, rois):
    """Return mask targets of RoIs from the whole mask."""
    masks = np.repeat(mask[None, :, :, None], len(rois), axis=0)
    masks = masks.astype("float32")
    return np.asarray(roi_align.roi_align_dense(masks, rois, 28, 8))[..., 0]


# Inside of the box, larger, beside it, and at the image's border.
ROIS = np.array(
    [[16, 9, 30, 20], [3, 1, 41, 29], [0, 2, 20, 12], [20, 10, 44, 30]],
    "float32",
)
DISC = np.hypot(*(np.mgrid[:HEIGHT, :WIDTH] - [[[15]], [[24]]])) < 11
DISC_BOX = (12.0, 3.0, 36.0, 27.0)
CORNER = np.zeros((HEIGHT, WIDTH), bool)
CORNER[18:, 30:] = True


@pytest.mark.parametrize(
    ("mask", "cells", "box"),
    [
        (DISC, 26, DISC_BOX),
        (CORNER, 26, (30.0, 18.0, 44.0, 30.0)),
        # The disc is up to 6 pixels larger than this box.
        (DISC, 30, (16.0, 6.0, 30.0, 19.0)),
    ],
    ids=["inside", "at the border", "larger than its box"],
)
def test_targets_of_a_small_crop_equal_those_of_the_mask(mask, cells, box):
    actual = targets_of_crop(mask, ROIS, cells, box)
    np.testing.assert_allclose(actual, targets_of_mask(mask, ROIS), atol=1e-5)


def test_targets_of_a_large_crop_are_near_those_of_the_mask():
    """Three pixels a cell differ along edges, but not on average."""
    actual = targets_of_crop(DISC, ROIS, 10, DISC_BOX)
    error = actual - targets_of_mask(DISC, ROIS)
    assert np.abs(error).max() < 0.5
    assert np.abs(error.mean((1, 2))).max() < 0.02


@pytest.mark.parametrize("scale", [2, 3])
def test_targets_of_a_resized_image_are_near_those_of_the_mask(scale):
    """A mask of repeated pixels differs along its edges alone."""
    actual = targets_of_crop(DISC, scale * ROIS, 26, DISC_BOX, scale)
    large = DISC.repeat(scale, axis=0).repeat(scale, axis=1)
    error = actual - targets_of_mask(large, scale * ROIS)
    assert np.abs(error).max() < 0.5
    assert np.abs(error.mean((1, 2))).max() < 0.01


def test_an_image_of_another_size_is_an_error():
    image = riders.image()
    image = dataclasses.replace(image, width=image.width - 4)
    with pytest.raises(UserError, match=r"a\.jpg has 44 x 30 pixels"):
        examples.make_example(image, riders.pixels())


def test_an_object_without_a_mask_is_an_error():
    with pytest.raises(UserError, match="annotation 5 has no segmentation"):
        riders.example(riders.instance(5, segmentation=None))
