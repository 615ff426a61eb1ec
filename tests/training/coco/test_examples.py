"""Arrays of a picture's objects, and what a mirror makes of them."""

import dataclasses

import numpy as np
import pytest

from nonlocal_tf.detection import roi_align
from nonlocal_tf.detection.targets import mask_targets
from training.coco import examples
from training.coco.annotations import Category, Instance, Picture
from training.io import paths
from training.io.user_error import UserError

pytest.importorskip("pycocotools")

HEIGHT, WIDTH = 30, 44
RIDER = Category(1, "person", ("nose", "left_eye", "right_eye"))


def polygon(x1, y1, x2, y2):
    return [[x1, y1, x2, y1, x2, y2, x1, y2]]


def instance(number=1, box=(4.0, 6.0, 14.0, 13.0), **given):
    fields = {
        "id": number,
        "label": 2,
        "box": box,
        "area": 70.0,
        "is_crowd": False,
        "segmentation": polygon(*box),
        "keypoints": (5, 7, 2, 8, 9, 1, 0, 0, 0),
    }
    return Instance(**{**fields, **given})


def picture(*instances):
    path = paths.as_path("a.jpg")
    return Picture(7, path, HEIGHT, WIDTH, instances)


def image():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (HEIGHT, WIDTH, 3), "uint8")


def made(*instances, **options):
    options = {"mask_cells": 12, "keypoints": 3, **options}
    return examples.make(picture(*instances), image(), **options)


def whole(example, number=0):
    """A mask put back where it came from, where a cell is a pixel."""
    x1, y1, x2, y2 = example.mask_boxes[number].astype(int)
    mask = np.zeros((y2 + 50, x2 + 50), bool)
    mask[y1:y2, x1:x2] = example.masks[number] > 0.5
    return mask[:HEIGHT, :WIDTH]


def test_objects_and_crowds_are_apart():
    crowd = instance(2, (20.0, 1.0, 40.0, 9.0), is_crowd=True)
    found = made(instance(), crowd)
    np.testing.assert_array_equal(found.boxes, [[4, 6, 14, 13]])
    np.testing.assert_array_equal(found.labels, [2])
    np.testing.assert_array_equal(found.crowds, [[20, 1, 40, 9]])
    assert found.masks.shape == (1, 12, 12)
    np.testing.assert_array_equal(found.keypoints[0, 1], [8, 9, 1])


def test_a_picture_without_objects_has_empty_arrays():
    found = made()
    assert found.boxes.shape == (0, 4) and found.crowds.shape == (0, 4)
    assert found.masks.shape == (0, 12, 12)
    assert found.keypoints.shape == (0, 3, 3)


def test_a_small_mask_is_exact():
    found = made(instance())
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[6:13, 4:14] = True
    np.testing.assert_array_equal(whole(found), expected)
    np.testing.assert_array_equal(found.mask_boxes, [[3, 5, 15, 17]])


def test_a_large_mask_has_the_share_of_each_cell():
    mask = np.random.default_rng(1).random((HEIGHT, WIDTH)) < 0.5
    inside = np.zeros_like(mask)
    inside[3:21, 6:36] = True
    mask &= inside
    got, covers = examples.crop_mask(mask, (6.0, 3.0, 36.0, 21.0), 8)
    expected = mask[0:24, 1:41].reshape(8, 3, 8, 5).mean((1, 3))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)
    assert covers == (1, 0, 41, 24)


def test_a_mask_goes_on_outside_of_the_picture():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[:3, -2:] = True
    got, covers = examples.crop_mask(mask, (40.0, 0.0, 44.0, 4.0), 6)
    expected = np.zeros((6, 6))
    expected[:4, 3:] = 1  # a row above and a column behind, too
    np.testing.assert_array_equal(got, expected)
    assert covers == (39, -1, 45, 5)


def test_shares_of_cells_that_do_not_divide_sum_to_one():
    _, shares = examples._cells_along(4.0, 33.0, 40, 12)
    np.testing.assert_allclose(shares.sum(1), 1, rtol=0, atol=1e-6)
    # A pixel that is wholly inside counts 1 / 2.9 of a cell.
    np.testing.assert_allclose(shares.sum(0)[4:33], 10 / 29, rtol=0, atol=1e-6)


def targets(mask, rois, cells, box, scaled=1):
    """What is learnt of a crop."""
    part, covers = examples.crop_mask(mask, box, cells)
    masks = np.repeat(part[None], len(rois), axis=0)
    covered = np.float32([covers] * len(rois)) * scaled
    return np.asarray(mask_targets(masks, covered, rois, 8))


def of_the_whole(mask, rois):
    masks = np.repeat(mask[None, :, :, None], len(rois), axis=0)
    masks = masks.astype("float32")
    return np.asarray(roi_align.roi_align_dense(masks, rois, 28, 8))[..., 0]


# Inside of the box, larger, beside it, at the picture's border; disc and all.
ROIS = np.array(
    [[16, 9, 30, 20], [3, 1, 41, 29], [0, 2, 20, 12], [20, 10, 44, 30]],
    "float32",
)
DISC = np.hypot(*(np.mgrid[:HEIGHT, :WIDTH] - [[[15]], [[24]]])) < 11


def test_what_is_learnt_of_a_small_mask_is_as_of_the_whole_one():
    box = (12.0, 3.0, 36.0, 27.0)
    got = targets(DISC, ROIS, 26, box)
    np.testing.assert_allclose(got, of_the_whole(DISC, ROIS), atol=1e-5)


def test_what_is_learnt_at_the_border_is_as_of_the_whole_one():
    filled = np.zeros((HEIGHT, WIDTH), bool)
    filled[18:, 30:] = True
    got = targets(filled, ROIS, 26, (30.0, 18.0, 44.0, 30.0))
    np.testing.assert_allclose(got, of_the_whole(filled, ROIS), atol=1e-5)


def test_what_is_learnt_of_a_mask_that_leaves_its_box_is_as_of_the_whole():
    box = (16.0, 6.0, 30.0, 19.0)  # the disc is up to 6 pixels larger
    got = targets(DISC, ROIS, 30, box)
    np.testing.assert_allclose(got, of_the_whole(DISC, ROIS), atol=1e-5)


def test_what_is_learnt_of_a_large_mask_is_near_and_in_its_place():
    """Three pixels a cell: off along edges, but not on average."""
    box = (12.0, 3.0, 36.0, 27.0)
    got = targets(DISC, ROIS, 10, box)
    expected = of_the_whole(DISC, ROIS)
    assert np.abs(got - expected).max() < 0.5
    assert np.abs((got - expected).mean((1, 2))).max() < 0.02


@pytest.mark.parametrize("scaled", [2, 3])
def test_what_is_learnt_of_a_scaled_picture_is_in_its_place(scaled):
    """As of a mask whose pixels were repeated, but for steps along edges."""
    box = (12.0, 3.0, 36.0, 27.0)
    got = targets(DISC, scaled * ROIS, 26, box, scaled)
    large = DISC.repeat(scaled, axis=0).repeat(scaled, axis=1)
    expected = of_the_whole(large, scaled * ROIS)
    assert np.abs(got - expected).max() < 0.5
    assert np.abs((got - expected).mean((1, 2))).max() < 0.01


def test_a_mirror_moves_everything():
    found = made(instance())
    other = examples.mirrored(found, examples.partners_of(RIDER))
    np.testing.assert_array_equal(other.image, found.image[:, ::-1])
    np.testing.assert_array_equal(other.boxes, [[30, 6, 40, 13]])
    x1, _, x2, _ = other.mask_boxes[0].astype(int)
    mask = np.zeros((HEIGHT, WIDTH + 12), bool)
    mask[5:17, x1:x2] = other.masks[0] > 0.5
    np.testing.assert_array_equal(mask[:, :WIDTH], whole(found)[:, ::-1])
    nose, left, right = other.keypoints[0]
    np.testing.assert_array_equal(nose, [WIDTH - 5, 7, 2])
    np.testing.assert_array_equal(left, [0, 0, 0])  # the right one was unseen
    np.testing.assert_array_equal(right, [WIDTH - 8, 9, 1])


def test_two_mirrors_change_nothing():
    found = made(instance())
    partners = examples.partners_of(RIDER)
    twice = examples.mirrored(examples.mirrored(found, partners), partners)
    for field in dataclasses.fields(found):
        np.testing.assert_array_equal(
            getattr(twice, field.name), getattr(found, field.name)
        )


def test_keypoints_of_coco_have_their_partners():
    names = "nose left_eye right_eye left_ear right_ear left_ankle right_ankle"
    category = Category(1, "person", tuple(names.split()))
    assert examples.partners_of(category) == [0, 2, 1, 4, 3, 6, 5]


@pytest.mark.parametrize(
    "names",
    [
        ("eye_left", "nose", "eye_right"),
        ("leftEye", "nose", "rightEye"),
        ("l_eye", "nose", "r_eye"),
        ("LEye", "nose", "REye"),
        ("Left thumb", "Nose", "Right thumb"),
        ("LEFT_EYE", "NOSE", "RIGHT_EYE"),
        ("R.knee 2", "head", "L.knee 2"),
    ],
)
def test_sides_are_told_in_whatever_style(names):
    assert examples.partners_of(Category(1, "person", names)) == [2, 1, 0]


@pytest.mark.parametrize("names", [("A", "a", "b"), ("p1", "p_1", "p 1")])
def test_names_without_a_side_keep_their_places_however_alike(names):
    assert examples.partners_of(Category(1, "corner", names)) == [0, 1, 2]


def test_two_partners_are_an_error():
    names = ("left_eye", "leftEye", "right_eye", "rightEye")
    with pytest.raises(UserError, match="'left_eye' .* once among"):
        examples.partners_of(Category(1, "person", names))


@pytest.mark.parametrize("name", ["lefteye", "aleft", "l_eye", "Right thumb"])
def test_a_side_that_is_not_exchanged_is_an_error(name):
    category = Category(1, "person", ("nose", name))
    with pytest.raises(UserError, match=f"'{name}' of 'person'"):
        examples.partners_of(category)


def test_a_keypoint_without_a_partner_is_named():
    with pytest.raises(UserError, match="'left_eye' of 'person'"):
        examples.partners_of(Category(1, "person", ("nose", "left_eye")))


def test_pixels_of_another_size_are_named():
    with pytest.raises(UserError, match=r"a\.jpg has 40 x 30 pixels"):
        examples.make(picture(), image()[:, :40])


def test_an_object_without_a_mask_is_named():
    with pytest.raises(UserError, match="annotation 5 has no segmentation"):
        made(instance(5, segmentation=None))
