"""Horizontal flips of examples."""

import dataclasses

import numpy as np
import pytest

from tests.training.coco import riders
from training.coco.annotations import Category
from training.coco.horizontal_flip import flip, keypoint_partners
from training.io.user_error import UserError

pytest.importorskip("pycocotools")

HEIGHT, WIDTH = riders.SIZE


def test_a_flip_moves_all_arrays():
    example = riders.example(riders.instance())
    flipped = flip(example, keypoint_partners(riders.CATEGORY))
    np.testing.assert_array_equal(flipped.image, example.image[:, ::-1])
    np.testing.assert_array_equal(flipped.boxes, [[30, 6, 40, 13]])
    x1, _, x2, _ = flipped.mask_boxes[0].astype(int)
    mask = np.zeros((HEIGHT, WIDTH + 12), bool)
    mask[5:17, x1:x2] = flipped.masks[0] > 0.5
    expected = riders.image_mask(example)[:, ::-1]
    np.testing.assert_array_equal(mask[:, :WIDTH], expected)
    nose, left, right = flipped.keypoints[0]
    np.testing.assert_array_equal(nose, [WIDTH - 5, 7, 2])
    np.testing.assert_array_equal(left, [0, 0, 0])  # right was not labeled
    np.testing.assert_array_equal(right, [WIDTH - 8, 9, 1])


def test_two_flips_change_nothing():
    example = riders.example(riders.instance())
    partners = keypoint_partners(riders.CATEGORY)
    twice = flip(flip(example, partners), partners)
    for field in dataclasses.fields(example):
        np.testing.assert_array_equal(
            getattr(twice, field.name), getattr(example, field.name)
        )


def test_left_and_right_keypoints_of_coco_are_partners():
    names = "nose left_eye right_eye left_ear right_ear left_ankle right_ankle"
    category = Category(1, "person", tuple(names.split()))
    assert keypoint_partners(category) == [0, 2, 1, 4, 3, 6, 5]


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
def test_partners_are_matched_in_any_style(names):
    assert keypoint_partners(Category(1, "person", names)) == [2, 1, 0]


@pytest.mark.parametrize("names", [("A", "a", "b"), ("p1", "p_1", "p 1")])
def test_names_without_a_side_are_their_own_partners(names):
    assert keypoint_partners(Category(1, "corner", names)) == [0, 1, 2]


def test_two_partners_are_an_error():
    names = ("left_eye", "leftEye", "right_eye", "rightEye")
    with pytest.raises(UserError, match="'left_eye' .* once among"):
        keypoint_partners(Category(1, "person", names))


@pytest.mark.parametrize(
    "name", ["left_eye", "lefteye", "aleft", "l_eye", "Right thumb"]
)
def test_an_error_names_a_keypoint_without_partner(name):
    category = Category(1, "person", ("nose", name))
    with pytest.raises(UserError, match=f"'{name}' of 'person'"):
        keypoint_partners(category)
