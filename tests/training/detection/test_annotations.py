"""COCO's annotations: what is read, and what is told of bad ones."""

import copy
import json

import pytest

from training.detection import annotations
from training.errors import UserError

GOOD = {
    "images": [
        {"id": 7, "file_name": "a.jpg", "height": 50, "width": 80},
        {"id": 9, "file_name": "b c.png", "height": 30, "width": 40},
    ],
    "categories": [
        {"id": 3, "name": "dog"},
        {"id": 1, "name": "person", "keypoints": ["nose", "left_eye"]},
        {"id": 90, "name": "cup"},
    ],
    "annotations": [
        {
            "id": 11,
            "image_id": 7,
            "category_id": 90,
            "bbox": [10, 20, 30, 25.5],
            "area": 500.5,
            "iscrowd": 0,
            "segmentation": [[10, 20, 40, 20, 40, 45]],
        },
        {
            "id": 12,
            "image_id": 7,
            "category_id": 1,
            "bbox": [0, 0, 80, 50],
            "area": 4000,
            "iscrowd": 1,
            "segmentation": {"size": [50, 80], "counts": [0, 4000]},
        },
        {
            "id": 13,
            "image_id": 7,
            "category_id": 1,
            "bbox": [5, 5, 10, 10],
            "area": 100,
            "iscrowd": 0,
            "keypoints": [6, 7, 2, 0, 0, 0],
        },
    ],
}


def read(tmp_path, content):
    for image in content["images"]:
        if isinstance(image, dict) and image.get("file_name"):
            (tmp_path / image["file_name"]).touch()
    file = tmp_path / "instances.json"
    file.write_text(json.dumps(content))
    return annotations.read(str(file), str(tmp_path))


def test_everything_of_a_good_file_is_read(tmp_path):
    found = read(tmp_path, GOOD)
    assert found.problems == ()
    assert [c.name for c in found.categories] == ["person", "dog", "cup"]
    first, second = found.pictures
    assert (first.id, first.height, first.width) == (7, 50, 80)
    assert second.path.name == "b c.png" and second.instances == ()
    cup, crowd, person = first.instances
    assert (cup.label, cup.box, cup.area) == (3, (10, 20, 40, 45.5), 500.5)
    assert crowd.is_crowd and not cup.is_crowd
    assert person.keypoints == (6, 7, 2, 0, 0, 0)
    assert "2 pictures, 3 objects of 3 categories" in found.summary()


def changed(place, **values):
    content = copy.deepcopy(GOOD)
    content["annotations"][place].update(values)
    return content


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bbox": [90, 5, 10, 10]}, "outside of the picture"),
        ({"bbox": [5, 5, 0, 10]}, "its bbox is 0 x 10 pixels"),
        ({"bbox": [5, 5, 10]}, "x, y, width, height"),
        ({"bbox": [5, 5, 10, "1"]}, "bbox to be a list of numbers"),
        ({"bbox": [5, 5, 10, float("nan")]}, "bbox to be a list of numbers"),
        ({"category_id": 2}, "there is no category 2"),
        ({"image_id": 8}, "there is no good image 8"),
        ({"id": 13}, "another one has the same id"),
        ({"segmentation": [[1, 2, 3, 4]]}, "three points at least"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "three points at least"),
        ({"segmentation": "x"}, "neither polygons nor run lengths"),
        (
            {"segmentation": {"size": [50, 80], "counts": [3999]}},
            "run lengths are broken",
        ),
        (
            {"segmentation": {"size": [50, 80], "counts": "zz"}},
            "run lengths are broken",
        ),
    ],
)
def test_a_bad_object_is_told_by_file_and_id_and_left_out(
    tmp_path, values, message
):
    content = changed(0, **values)
    content["annotations"].append(content["annotations"].pop(0))
    found = read(tmp_path, content)
    (problem,) = found.problems
    number = values.get("id", 11)
    assert f"instances.json: annotation {number}: " in problem
    assert message in problem
    assert len(found.pictures[0].instances) == 2
    assert problem in found.summary()


@pytest.mark.parametrize(
    ("keypoints", "message"),
    [
        ([6, 7, 2], "expected 6 numbers as keypoints"),
        ([6, 7, 3, 0, 0, 0], "is 0, 1 or 2"),
        ([6, 7, None, 0, 0, 0], "list of numbers"),
    ],
)
def test_bad_keypoints_are_told(tmp_path, keypoints, message):
    found = read(tmp_path, changed(2, keypoints=keypoints))
    (problem,) = found.problems
    assert "annotation 13: " in problem and message in problem


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": [1]}, "a list of names"),
        ({"keypoints": ["a", "a"]}, "the same name"),
        ({"skeleton": [1]}, "pairs of keypoints from 1 to 2"),
        ({"skeleton": [[1, 3]]}, "pairs of keypoints from 1 to 2"),
    ],
)
def test_a_bad_category_is_told(tmp_path, change, message):
    content = copy.deepcopy(GOOD)
    number = next(
        n for n, one in enumerate(content["categories"]) if "keypoints" in one
    )
    content["categories"][number].update(change)
    found = read(tmp_path, content)
    id_ = content["categories"][number]["id"]
    assert f"category {id_}: " in found.problems[0]
    assert message in found.problems[0]


def test_a_category_may_say_that_it_has_no_keypoints(tmp_path):
    content = copy.deepcopy(GOOD)
    for one in content["categories"]:
        if "keypoints" not in one:
            one |= {"keypoints": None, "skeleton": None}
    assert read(tmp_path, content).problems == ()


def test_a_box_that_sticks_out_is_cut_and_told(tmp_path):
    found = read(tmp_path, changed(0, bbox=[60, 40, 40, 30]))
    (problem,) = found.problems
    assert "annotation 11: its bbox" in problem and "cut off" in problem
    assert found.pictures[0].instances[0].box == (60, 40, 80, 50)


def test_a_box_that_rounding_moved_is_cut_silently(tmp_path):
    found = read(tmp_path, changed(0, bbox=[-0.4, 5, 80.8, 10]))
    assert found.problems == ()
    assert found.pictures[0].instances[0].box == (0, 5, 80, 15)


def test_a_picture_that_is_not_there_is_told(tmp_path):
    content = copy.deepcopy(GOOD)
    file = tmp_path / "instances.json"
    file.write_text(json.dumps(content))
    (tmp_path / "b c.png").touch()
    found = annotations.read(str(file), str(tmp_path))
    assert [picture.id for picture in found.pictures] == [9]
    assert "image 7: there is no file" in found.problems[0]
    assert all("no good image 7" in line for line in found.problems[1:])
    assert len(found.problems) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 0}, "image 9: 0 x 40 pixels"),
        ({"width": "40"}, "expected width to be an integer"),
        ({"id": 7}, "image 7: another one has the same id"),
        ({"file_name": None}, "image 9: it has no file_name"),
    ],
)
def test_a_bad_picture_is_told(tmp_path, change, message):
    content = copy.deepcopy(GOOD)
    content["images"][1].update(change)
    found = read(tmp_path, content)
    assert message in found.problems[0]
    assert [picture.id for picture in found.pictures] == [7]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "expected an object with the lists"),
        ('{"images": []}', "expected an object with the lists"),
        (
            '{"images": [], "categories": [], "annotations": []}',
            "has no categories",
        ),
        (
            '{"images": [3], "categories": [{"id": 1, "name": "a"}], '
            '"annotations": []}',
            r"images\[0\] is not an object",
        ),
    ],
)
def test_a_file_of_something_else_says_so(tmp_path, text, message):
    file = tmp_path / "instances.json"
    file.write_text(text)
    with pytest.raises(UserError, match=message):
        annotations.read(str(file), str(tmp_path))


def test_a_file_that_is_not_there_says_so(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        annotations.read(str(tmp_path / "none.json"), str(tmp_path))
