"""Reading of annotation files, and problems of invalid ones."""

import copy
import json
import os

import pytest

from tests.training.coco import coco_files
from training.coco import annotation_reader
from training.io.user_error import UserError

CUP, PERSON = 0, 2  # indices of annotations


def read_annotation(tmp_path, index, **values):
    """Read the file with other values of one annotation."""
    content = coco_files.changed("annotations", index, **values)
    return coco_files.read(tmp_path, content)


def test_a_valid_file_is_read_completely(tmp_path):
    annotations = coco_files.read(tmp_path, coco_files.CONTENT)
    assert annotations.problems == ()
    names = [category.name for category in annotations.categories]
    assert names == ["person", "dog", "cup"]
    first, second = annotations.images
    assert (first.id, first.height, first.width) == (7, 50, 80)
    assert second.path.name == "b c.png" and second.instances == ()
    cup, crowd, person = first.instances
    assert (cup.label, cup.box, cup.area) == (3, (10, 20, 40, 45.5), 500.5)
    assert crowd.is_crowd and not cup.is_crowd
    assert person.keypoints == (6, 7, 2, 0, 0, 0)
    assert "2 images, 3 objects of 3 categories" in annotations.summary()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bbox": [90, 5, 10, 10]}, "outside of the image"),
        ({"bbox": [5, 5, 0, 10]}, "its bbox is 0 x 10 pixels"),
        ({"bbox": [5, 5, 10]}, "x, y, width, height"),
        ({"bbox": [5, 5, 10, "1"]}, "bbox to be a list of numbers"),
        ({"bbox": [5, 5, 10, float("nan")]}, "bbox to be a list of numbers"),
        ({"category_id": 2}, "there is no category 2"),
        ({"image_id": 8}, "there is no valid image 8"),
        ({"id": 13}, "another one has the same id"),
        ({"segmentation": [[1, 2, 3, 4]]}, "at least three points"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "at least three points"),
        ({"segmentation": "x"}, "neither polygons nor RLE"),
        ({"segmentation": [1, 2, 3, 4, 5, 6]}, "Expected a list of polygons"),
        ({"segmentation": [[[1, 2], [3, 4], [5, 6]]]}, "a polygon of x, y"),
        ({"segmentation": [[1, 1, 1, 5, 1, 9]]}, "line without area"),
        ({"segmentation": [[0, 0, 1e12, 0, 9, 9]]}, "far outside of the"),
        ({"segmentation": [[0, 0, 10**400, 0, 9, 9]]}, "a polygon of x, y"),
        ({"segmentation": [[0, 0, 79, 49, 0, 49] * 99]}, "perimeter is more"),
        ({"bbox": [5, 5, 10, 1e-9]}, "its bbox is 10 x 1e-09 pixels"),
        ({"bbox": [5, 5, 10**400, 10]}, "bbox to be a list of numbers"),
        ({"bbox": [1e308, 5, 1e308, 10]}, "outside of the image"),
        ({"iscrowd": "yes"}, "expected iscrowd to be an integer"),
        ({"iscrowd": 2}, "expected iscrowd to be 0 or 1, not 2"),
        ({"iscrowd": []}, "expected iscrowd to be an integer"),
        ({"category_id": "dog"}, "expected category_id to be an integer"),
        ({"category_id": 1.5}, "expected category_id to be an integer"),
        ({"category_id": 1e300}, "expected category_id to be an integer"),
        ({"category_id": 2.0}, "there is no category 2"),
        ({"image_id": None}, "expected image_id to be an integer"),
        (
            {"segmentation": {"size": [50, 80], "counts": [3999]}},
            "its RLE is invalid",
        ),
        (
            {"segmentation": {"size": [50, 80], "counts": "zz"}},
            "its RLE is invalid",
        ),
    ],
)
def test_an_invalid_object_is_a_problem_and_skipped(tmp_path, values, message):
    content = coco_files.changed("annotations", CUP, **values)
    content["annotations"].append(content["annotations"].pop(CUP))
    annotations = coco_files.read(tmp_path, content)
    (problem,) = annotations.problems
    number = values.get("id", 11)
    assert f"instances.json: annotation {number}: " in problem
    assert message in problem
    assert len(annotations.images[0].instances) == 2
    assert problem in annotations.summary()


@pytest.mark.parametrize(
    ("keypoints", "message"),
    [
        ([6, 7, 2], "expected 6 numbers as keypoints"),
        ([6, 7, 3, 0, 0, 0], "of 0, 1 or 2"),
        ([6, 7, None, 0, 0, 0], "list of numbers"),
        ([6, 7, 2, 1e30, 0, 1], "its keypoint 1e+30, 0 is far outside"),
    ],
)
def test_invalid_keypoints_are_a_problem(tmp_path, keypoints, message):
    annotations = read_annotation(tmp_path, PERSON, keypoints=keypoints)
    (problem,) = annotations.problems
    assert "annotation 13: " in problem and message in problem


def test_unlabeled_keypoints_have_no_position(tmp_path):
    annotations = read_annotation(
        tmp_path, PERSON, keypoints=[6, 7, 2, 1e300, -9, 0]
    )
    assert annotations.problems == ()
    keypoints = annotations.images[0].instances[PERSON].keypoints
    assert keypoints == (6, 7, 2, 0, 0, 0)


def test_a_box_beyond_the_image_is_clipped_and_a_problem(tmp_path):
    annotations = read_annotation(tmp_path, CUP, bbox=[60, 40, 40, 30])
    (problem,) = annotations.problems
    assert "annotation 11: its bbox" in problem and "clipped" in problem
    assert annotations.images[0].instances[CUP].box == (60, 40, 80, 50)


def test_a_box_moved_by_rounding_is_clipped_silently(tmp_path):
    annotations = read_annotation(tmp_path, CUP, bbox=[-0.4, 5, 80.8, 10])
    assert annotations.problems == ()
    assert annotations.images[0].instances[CUP].box == (0, 5, 80, 15)


@pytest.mark.parametrize(
    ("segmentation", "expected"),
    [
        ([[]], None),
        ([[], []], None),
        ([[], [10, 20, 40, 20, 40, 45]], [[10, 20, 40, 20, 40, 45]]),
    ],
)
def test_empty_polygons_are_ignored(tmp_path, segmentation, expected):
    annotations = read_annotation(tmp_path, CUP, segmentation=segmentation)
    assert annotations.problems == ()
    assert annotations.images[0].instances[CUP].segmentation == expected


@pytest.mark.parametrize(
    "degenerate",
    [[5, 5, 5, 7], [1, 2, 3, 4, 5, 6, 7], [3, 1, 3, 2, 3, 9], [9e9] * 6, 3],
)
def test_a_degenerate_polygon_is_skipped_alone(tmp_path, degenerate):
    valid = [10, 20, 40, 20, 40, 45]
    annotations = read_annotation(
        tmp_path, CUP, segmentation=[degenerate, valid, degenerate]
    )
    (problem,) = annotations.problems
    assert "annotation 11: 2 of its 3 polygons skipped" in problem
    assert annotations.images[0].instances[CUP].segmentation == [valid]


@pytest.mark.parametrize(
    ("value", "is_crowd"),
    [
        *[(value, True) for value in (1, "1", 1.0, True, "1.0")],
        *[(value, False) for value in (0, "0", 0.0, False, None)],
    ],
)
def test_a_crowd_may_be_number_text_or_boolean(tmp_path, value, is_crowd):
    annotations = read_annotation(tmp_path, CUP, iscrowd=value)
    assert annotations.problems == ()
    assert annotations.images[0].instances[CUP].is_crowd is is_crowd


@pytest.mark.parametrize(
    ("area", "expected"), [("500.5", 500.5), (-3, 765), ("x", 765), (None, 765)]
)
def test_the_area_of_the_box_replaces_an_invalid_one(tmp_path, area, expected):
    annotations = read_annotation(tmp_path, CUP, area=area)
    assert annotations.images[0].instances[CUP].area == expected


def test_a_missing_image_is_a_problem(tmp_path):
    file = tmp_path / "instances.json"
    file.write_text(json.dumps(coco_files.CONTENT))
    (tmp_path / "b c.png").touch()
    annotations = annotation_reader.read(str(file), str(tmp_path))
    assert [image.id for image in annotations.images] == [9]
    first, *rest = annotations.problems
    assert "image 7: there is no file" in first
    assert all("no valid image 7" in problem for problem in rest)
    assert len(rest) == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"height": 0}, "image 9: 0 x 40 pixels"),
        ({"width": "4e1"}, "expected width to be an integer"),
        (
            {"width": 10**400},
            "width to be an integer of 2^53 at most, not 1000",
        ),
        ({"width": 99999}, "expected sides from 1 to 65535"),
        ({"file_name": "a" * 5000}, "there is no file"),
        ({"file_name": "\ud800"}, "there is no file"),
        ({"file_name": "a\\b.png"}, "b.png, nor with / for"),
        ({"id": 7}, "image 7: another one has the same id"),
        ({"file_name": None}, "image 9: it has no file_name"),
    ],
)
def test_an_invalid_image_is_a_problem(tmp_path, values, message):
    content = coco_files.changed("images", 1, **values)
    annotations = coco_files.read(tmp_path, content)
    assert message in annotations.problems[0]
    assert [image.id for image in annotations.images] == [7]


def test_a_long_file_name_is_shortened_in_a_problem(tmp_path):
    content = coco_files.changed("images", 1, file_name="a" * 5000)
    (problem,) = coco_files.read(tmp_path, content).problems
    assert len(problem) < 600


@pytest.mark.parametrize(
    "name", ["sub\\caf\u00e9.jpg", "sub/cafe\u0301.jpg", "sub\\cafe\u0301.jpg"]
)
def test_file_names_of_other_systems_are_resolved(tmp_path, name):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "caf\u00e9.jpg").touch()
    content = coco_files.changed("images", 0, file_name=name)
    annotations = coco_files.read(tmp_path, content)
    assert annotations.problems == ()
    assert annotations.images[0].path.name == "caf\u00e9.jpg"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 200_000, "is not JSON: its brackets are nested too deep"),
        ('{"a":' * 200_000, "is not JSON: its brackets are nested too deep"),
        ('{"images": [], "categories": 1' + "0" * 5000, "is not JSON"),
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
def test_a_file_of_something_else_is_rejected(tmp_path, text, message):
    file = tmp_path / "instances.json"
    file.write_text(text)
    with pytest.raises(UserError, match=message):
        annotation_reader.read(str(file), str(tmp_path))


def test_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(UserError, match="FIFO"):
        annotation_reader.read(str(tmp_path / "a.json"), str(tmp_path))


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        annotation_reader.read(str(tmp_path / "none.json"), str(tmp_path))


def test_an_error_lists_the_problems_of_all_categories(tmp_path):
    content = {**coco_files.CONTENT, "categories": [{"id": "a", "name": "b"}]}
    with pytest.raises(
        UserError, match="no valid categories(.|\\n)*id to be an int"
    ):
        coco_files.read(tmp_path, content)


@pytest.mark.parametrize("convert", [str, float, lambda n: f"00{n}.0"])
def test_integers_may_be_text_or_floats(tmp_path, convert):
    content = copy.deepcopy(coco_files.CONTENT)
    for name, keys in (
        ("images", ("id", "height", "width")),
        ("categories", ("id",)),
        ("annotations", ("id", "image_id", "category_id")),
    ):
        for entry in content[name]:
            entry.update({key: convert(entry[key]) for key in keys})
    expected = coco_files.read(tmp_path, coco_files.CONTENT)
    assert coco_files.read(tmp_path, content) == expected


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"]
)
def test_a_file_in_another_unicode_encoding_is_read(tmp_path, encoding):
    expected = coco_files.read(tmp_path, coco_files.CONTENT)
    content = json.dumps(coco_files.CONTENT).encode(encoding)
    expected.path.write_bytes(content)
    actual = annotation_reader.read(str(expected.path), str(tmp_path))
    assert actual == expected


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("bbox", [0.1, 0.2, 0.5, 0.4], "all boxes lie between 0 and 1"),
        ("segmentation", [[0, 0, 1, 0, 1, 1]], "all polygons lie between 0"),
        ("iscrowd", 1, "all 3 objects are crowds"),
    ],
)
def test_suspicious_annotations_have_a_note(tmp_path, key, value, message):
    content = copy.deepcopy(coco_files.CONTENT)
    for entry in content["annotations"]:
        entry[key] = value
    annotations = coco_files.read(tmp_path, content)
    (note,) = annotations.notes
    assert message in note and f"note: {note}" in annotations.summary()
    assert annotations.problems == ()


def test_keypoints_without_names_have_a_note(tmp_path):
    content = copy.deepcopy(coco_files.CONTENT)
    del content["categories"][1]["keypoints"]
    (note,) = coco_files.read(tmp_path, content).notes
    assert "1 objects have keypoints that their category does not" in note
