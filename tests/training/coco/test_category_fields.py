"""Validation of categories."""

import pytest

from tests.training.coco import coco_files

PERSON = 1  # index


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"keypoints": [1]}, "a list of names"),
        ({"keypoints": ["a", "a"]}, "the same name"),
        ({"keypoints": ["a", "b\nc"]}, "keypoints to be a line of text"),
        ({"name": 3}, "it has no name"),
        ({"name": "a\nRUN b"}, "expected name to be a line of text"),
        ({"name": "\ud800"}, "expected name to be a line of text"),
    ],
)
def test_an_invalid_category_is_a_problem(tmp_path, values, message):
    content = coco_files.changed("categories", PERSON, **values)
    problem, *_ = coco_files.read(tmp_path, content).problems
    assert "category 1: " in problem and message in problem


def test_keypoints_and_skeleton_may_be_null(tmp_path):
    content = coco_files.changed("categories", 0, keypoints=None, skeleton=None)
    assert coco_files.read(tmp_path, content).problems == ()


@pytest.mark.parametrize("pair", [[1, 2], [1.0, 2.0], ["1", "2"]])
def test_a_skeleton_may_have_integers_as_floats_or_text(tmp_path, pair):
    content = coco_files.changed("categories", PERSON, skeleton=[pair])
    person, *_ = coco_files.read(tmp_path, content).categories
    assert person.skeleton == ((1, 2),)


@pytest.mark.parametrize("skeleton", [[[0, 1]], [[1, 3]], [1], "1", {"a": 1}])
def test_an_invalid_skeleton_is_skipped_alone(tmp_path, skeleton):
    content = coco_files.changed("categories", PERSON, skeleton=skeleton)
    annotations = coco_files.read(tmp_path, content)
    (problem,) = annotations.problems
    assert "category 1: its skeleton is skipped" in problem
    assert "keypoints from 1 to 2" in problem
    person, *_ = annotations.categories
    assert person.keypoints == ("nose", "left_eye")
    assert person.skeleton == ()
