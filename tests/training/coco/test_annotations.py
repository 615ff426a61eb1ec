"""COCO's annotations: what is read, and what is told of bad ones."""

import copy
import json
import os

import pytest

from training.coco import annotations
from training.io.user_error import UserError

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
    for name in ("a.jpg", "b c.png"):
        (tmp_path / name).touch()
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
        ({"bbox": [90, 5, 10, 10]}, "outside of the image"),
        ({"bbox": [5, 5, 0, 10]}, "its bbox is 0 x 10 pixels"),
        ({"bbox": [5, 5, 10]}, "x, y, width, height"),
        ({"bbox": [5, 5, 10, "1"]}, "bbox to be a list of numbers"),
        ({"bbox": [5, 5, 10, float("nan")]}, "bbox to be a list of numbers"),
        ({"category_id": 2}, "there is no category 2"),
        ({"image_id": 8}, "there is no good image 8"),
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
        ([6, 7, 3, 0, 0, 0], "of 0, 1 or 2"),
        ([6, 7, None, 0, 0, 0], "list of numbers"),
        ([6, 7, 2, 1e30, 0, 1], "its keypoint 1e+30, 0 is far outside"),
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
        ({"keypoints": ["a", "b\nc"]}, "keypoints to be a line of text"),
        ({"name": 3}, "it has no name"),
        ({"name": "a\nRUN b"}, "expected name to be a line of text"),
        ({"name": "\ud800"}, "expected name to be a line of text"),
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
    assert "annotation 11: its bbox" in problem and "clipped" in problem
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
def test_a_file_of_something_else_says_so(tmp_path, text, message):
    file = tmp_path / "instances.json"
    file.write_text(text)
    with pytest.raises(UserError, match=message):
        annotations.read(str(file), str(tmp_path))


def test_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(UserError, match="FIFO"):
        annotations.read(str(tmp_path / "a.json"), str(tmp_path))


def test_a_file_that_is_not_there_says_so(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        annotations.read(str(tmp_path / "none.json"), str(tmp_path))


def categories(tmp_path, **values):
    content = copy.deepcopy(GOOD)
    content["categories"][1].update(values)
    return read(tmp_path, content)


@pytest.mark.parametrize("pair", [[1, 2], [1.0, 2.0], ["1", "2"]])
def test_a_skeleton_joins_whole_numbers(tmp_path, pair):
    found = categories(tmp_path, skeleton=[pair])
    assert found.categories[0].skeleton == ((1, 2),)


@pytest.mark.parametrize("skeleton", [[[0, 1]], [[1, 3]], [1], "1", {"a": 1}])
def test_a_bad_skeleton_loses_the_skeleton_alone(tmp_path, skeleton):
    found = categories(tmp_path, skeleton=skeleton)
    (problem,) = found.problems
    assert "category 1: its skeleton is left out" in problem
    assert "keypoints from 1 to 2" in problem
    assert found.categories[0].keypoints == ("nose", "left_eye")
    assert found.categories[0].skeleton == ()


def test_reasons_are_shown_when_all_categories_are_bad(tmp_path):
    content = {**GOOD, "categories": [{"id": "a", "name": "b"}, 7]}
    with pytest.raises(
        UserError, match="no good categories(.|\\n)*id to be an int"
    ):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ("segmentation", "expected"),
    [
        ([[]], None),
        ([[], []], None),
        ([[], [10, 20, 40, 20, 40, 45]], [[10, 20, 40, 20, 40, 45]]),
    ],
)
def test_an_empty_polygon_is_as_none(tmp_path, segmentation, expected):
    found = read(tmp_path, changed(0, segmentation=segmentation))
    assert found.problems == ()
    assert found.pictures[0].instances[0].segmentation == expected


@pytest.mark.parametrize(
    "part",
    [[5, 5, 5, 7], [1, 2, 3, 4, 5, 6, 7], [3, 1, 3, 2, 3, 9], [9e9] * 6, 3],
)
def test_a_degenerate_polygon_is_dropped_and_the_object_stays(tmp_path, part):
    good = [10, 20, 40, 20, 40, 45]
    found = read(tmp_path, changed(0, segmentation=[part, good, part]))
    (problem,) = found.problems
    assert "annotation 11: 2 of its 3 polygons skipped" in problem
    assert found.pictures[0].instances[0].segmentation == [good]


@pytest.mark.parametrize("mode", [1, "1", 1.0, True, "1.0"])
def test_a_crowd_is_one_however_it_is_written(tmp_path, mode):
    found = read(tmp_path, changed(0, iscrowd=mode))
    assert found.problems == ()
    assert found.pictures[0].instances[0].is_crowd


@pytest.mark.parametrize("mode", [0, "0", 0.0, False, None])
def test_an_object_is_none_however_it_is_written(tmp_path, mode):
    found = read(tmp_path, changed(0, iscrowd=mode))
    assert not found.pictures[0].instances[0].is_crowd


@pytest.mark.parametrize("convert", [str, float, lambda n: f"00{n}.0"])
def test_whole_numbers_may_be_text_or_floats(tmp_path, convert):
    content = copy.deepcopy(GOOD)
    for name, keys in (
        ("images", ("id", "height", "width")),
        ("categories", ("id",)),
        ("annotations", ("id", "image_id", "category_id")),
    ):
        for entry in content[name]:
            entry.update({key: convert(entry[key]) for key in keys})
    assert read(tmp_path, content) == read(tmp_path, GOOD)


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"]
)
def test_a_file_with_a_byte_order_mark_is_read(tmp_path, encoding):
    found = read(tmp_path, GOOD)
    found.path.write_bytes(json.dumps(GOOD).encode(encoding))
    assert annotations.read(str(found.path), str(tmp_path)) == found


@pytest.mark.parametrize(
    "name", ["sub\\caf\u00e9.jpg", "sub/cafe\u0301.jpg", "sub\\cafe\u0301.jpg"]
)
def test_names_of_other_systems_are_found(tmp_path, name):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "caf\u00e9.jpg").touch()
    content = copy.deepcopy(GOOD)
    content["images"][0]["file_name"] = name
    found = read(tmp_path, content)
    assert found.problems == ()
    assert found.pictures[0].path.name == "caf\u00e9.jpg"


def test_a_missing_file_with_a_long_name_is_a_short_problem(tmp_path):
    content = copy.deepcopy(GOOD)
    content["images"][1]["file_name"] = "a" * 5000
    (problem,) = read(tmp_path, content).problems
    assert len(problem) < 600


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("bbox", [0.1, 0.2, 0.5, 0.4], "all boxes lie between 0 and 1"),
        ("segmentation", [[0, 0, 1, 0, 1, 1]], "all polygons lie between 0"),
        ("iscrowd", 1, "all 3 objects are crowds"),
    ],
)
def test_what_is_hardly_meant_is_noted(tmp_path, key, values, message):
    content = copy.deepcopy(GOOD)
    for entry in content["annotations"]:
        entry[key] = values
    found = read(tmp_path, content)
    (note,) = found.notes
    assert message in note and f"note: {note}" in found.summary()
    assert found.problems == ()


def test_keypoints_without_names_are_noted(tmp_path):
    content = copy.deepcopy(GOOD)
    del content["categories"][1]["keypoints"]
    (note,) = read(tmp_path, content).notes
    assert "1 objects have keypoints of which" in note


def test_keypoints_without_a_place_have_none(tmp_path):
    found = read(tmp_path, changed(2, keypoints=[6, 7, 2, 1e300, -9, 0]))
    assert found.problems == ()
    assert found.pictures[0].instances[2].keypoints == (6, 7, 2, 0, 0, 0)


@pytest.mark.parametrize(
    ("area", "expected"), [("500.5", 500.5), (-3, 765), ("x", 765), (None, 765)]
)
def test_an_area_that_is_none_is_the_boxs(tmp_path, area, expected):
    found = read(tmp_path, changed(0, area=area))
    assert found.pictures[0].instances[0].area == expected
