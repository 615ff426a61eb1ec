"""Average precision through COCO's files: known answers, both evaluators."""

import dataclasses
import json
import sys

import numpy as np
import pytest

from nonlocal_tf.detection import Detections, DetectorConfig
from training.coco import annotations, coco_api, coco_scores
from training.io.user_error import UserError

pytest.importorskip("pycocotools")

KINDS = ("bbox", "segm")
SIZE = (90, 120)
SIGMAS = 17  # keypoints that COCO's evaluation knows


def square(x, y, side):
    mask = np.zeros(SIZE, bool)
    mask[y : y + side, x : x + side] = True
    return mask


OBJECTS = [  # picture, category, x, y, side
    (1, 3, 10, 20, 40),
    (1, 7, 60, 30, 50),
    (2, 7, 5, 5, 70),
]


@pytest.fixture
def content():
    keypoints = [f"k{i}" for i in range(SIGMAS)]
    found = {
        "info": {},
        "images": [
            {"id": i, "file_name": "x", "height": 90, "width": 120}
            for i in (1, 2, 4)
        ],
        "categories": [
            {"id": 3, "name": "dog"},
            {"id": 7, "name": "person", "keypoints": keypoints},
        ],
        "annotations": [
            {
                "id": number,
                "image_id": picture,
                "category_id": category,
                "bbox": [x, y, side, side],
                "area": side * side,
                "iscrowd": 0,
                "segmentation": coco_api.encode_mask(square(x, y, side)),
                "keypoints": points(x, y, side).ravel().tolist(),
                "num_keypoints": SIGMAS,
            }
            for number, (picture, category, x, y, side) in enumerate(
                OBJECTS, start=1
            )
        ],
    }
    return found


def checked(content, folder):
    """What a file says, checked."""
    (folder / "x").touch()
    path = folder / "truth.json"
    path.write_text(json.dumps(content))
    return annotations.read(str(path), str(folder))


@pytest.fixture
def truth(content, tmp_path):
    return checked(content, tmp_path)


def points(x, y, side):
    at = np.linspace(0, side, SIGMAS)
    return np.stack([x + at, y + at, np.full(SIGMAS, 2.0)], -1)


def found_of(picture, shift=0, keypoints=False):
    objects = [o for o in OBJECTS if o[0] == picture]
    boxes = [[x, y, x + s, y + s] for _, _, x, y, s in objects]
    return Detections(
        np.array(boxes, "float32").reshape(-1, 4) + shift,
        np.array([{3: 1, 7: 2}[o[1]] for o in objects], "int32"),
        np.full(len(objects), 0.9, "float32"),
        np.array([square(x + shift, y, s) for _, _, x, y, s in objects]),
        np.array([points(x, y, s) for _, _, x, y, s in objects])
        if keypoints
        else None,
    )


def scores(truth, shift=0, keypoints=False):
    kinds = ["bbox", "segm", *["keypoints"] * keypoints]
    scored = coco_scores.CocoScores(truth, truth.categories, kinds)
    for picture in (1, 2, 4):
        scored.add(picture, found_of(picture, shift, keypoints))
    return scored.scores()


def test_the_truth_itself_has_all_the_precision(truth):
    got = scores(truth)
    assert {
        got[f"{kind}_{of}"]
        for kind in ("box", "mask")
        for of in ("AP", "AP50", "AP75")
    } == {1.0}
    assert got["box_APs"] == -1  # there are no small ones
    assert "keypoint_AP" not in got


def test_boxes_that_are_off_count_at_small_overlaps_alone(truth):
    got = scores(truth, shift=6)
    assert got["box_AP50"] == 1 and got["box_AP75"] < 0.5
    assert 0 < got["box_AP"] < 1


def test_what_was_not_found_is_missed(truth):
    scored = coco_scores.CocoScores(truth, truth.categories, KINDS)
    scored.add(1, found_of(1))
    scored.add(2, found_of(4))  # nothing
    got = scored.scores()
    # All of the dogs, half of the persons (COCO takes 101 points of recall).
    assert got["box_AP"] == pytest.approx((1 + 51 / 101) / 2)


def test_nothing_at_all_is_zero(truth):
    scored = coco_scores.CocoScores(truth, truth.categories, KINDS)
    scored.add(2, found_of(4))
    got = scored.scores()
    assert got["box_AP"] == got["mask_AP"] == 0


@pytest.mark.parametrize("shift", [2**52, -(2**40)])
@pytest.mark.parametrize("evaluator", ["faster_coco_eval", "pycocotools"])
def test_ids_may_be_of_any_size(
    content, tmp_path, monkeypatch, shift, evaluator
):
    if evaluator == "pycocotools":
        monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    for image in content["images"]:
        image["id"] += shift
    for one in content["annotations"]:
        one["image_id"] += shift
        one["category_id"] += shift
    for category in content["categories"]:
        category["id"] += shift
    truth = checked(content, tmp_path)
    scored = coco_scores.CocoScores(truth, truth.categories, KINDS)
    for picture in (1, 2, 4):
        scored.add(picture + shift, found_of(picture))
    assert scored.scores()["box_AP"] == scored.scores()["mask_AP"] == 1


def test_an_object_with_id_0_counts(content, tmp_path):
    for one in content["annotations"]:
        one["id"] -= 1
    assert scores(checked(content, tmp_path))["box_AP"] == 1


def test_keypoints_are_counted_where_nobody_has(content, tmp_path):
    for one in content["annotations"]:
        del one["num_keypoints"]
    got = scores(checked(content, tmp_path), keypoints=True)
    assert got["keypoint_AP"] == pytest.approx(1)


def test_what_was_left_out_as_wrong_is_not_missed(content, tmp_path):
    wrong = {**content["annotations"][0], "id": 9, "bbox": [500, 500, 3, 4]}
    content["annotations"].append(wrong)
    assert scores(checked(content, tmp_path))["box_AP"] == 1


def test_an_object_without_a_mask_is_named_with_the_setting(content, tmp_path):
    del content["annotations"][1]["segmentation"]
    message = "annotation 2 has no segmentation.*--set detector.masks=false"
    with pytest.raises(UserError, match=message):
        scores(checked(content, tmp_path))


@pytest.mark.parametrize("evaluator", ["faster_coco_eval", "pycocotools"])
def test_a_crowd_without_a_mask_is_its_box(
    content, tmp_path, monkeypatch, evaluator
):
    if evaluator == "pycocotools":
        monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    del content["annotations"][0]["segmentation"]
    content["annotations"][0]["iscrowd"] = 1
    got = scores(checked(content, tmp_path))
    # The dog in the crowd is neither found nor wrong.
    assert got["box_AP"] == got["mask_AP"] == 1


def test_masks_are_not_tested_where_no_object_has_one(content, tmp_path):
    config = DetectorConfig(3, num_keypoints=SIGMAS)
    truth = checked(content, tmp_path)
    assert coco_scores.kinds_in(truth, config) == (*KINDS, "keypoints")
    assert coco_scores.notes(truth, truth.categories, config) == []
    for one in content["annotations"]:
        del one["segmentation"]
    truth = checked(content, tmp_path)
    assert coco_scores.kinds_in(truth, config) == ("bbox", "keypoints")
    (note,) = coco_scores.notes(truth, truth.categories, config)
    assert "masks are not tested" in note
    coco_scores.check(truth, config)


def test_a_detector_without_masks_is_not_scored_by_them():
    config = DetectorConfig(3, masks=False)
    assert coco_scores.kinds_of(config) == ("bbox",)


def test_a_class_that_the_detector_does_not_know_is_named(truth):
    with pytest.raises(UserError, match="category 7, 'person'"):
        coco_scores.CocoScores(truth, truth.categories[:1], KINDS)


def test_a_class_without_objects_may_be_unknown_to_the_detector(truth):
    unused = annotations.Category(50, "unused")
    listed = dataclasses.replace(truth, categories=(*truth.categories, unused))
    known = list(truth.categories)
    assert coco_scores.with_ids_of(listed, known) == known


def test_classes_are_matched_by_name(truth):
    one, two = truth.categories
    swapped = [
        dataclasses.replace(one, id=two.id),
        dataclasses.replace(two, id=one.id),
        dataclasses.replace(one, id=99, name="not in the annotations"),
    ]
    found = coco_scores.with_ids_of(truth, swapped)
    assert [category.id for category in found[:2]] == [one.id, two.id]
    assert found[2].id not in (one.id, two.id)


def test_names_that_are_numbers_are_matched_by_id(truth):
    named = [
        dataclasses.replace(category, name=f"class {category.id}")
        for category in truth.categories
    ]
    assert coco_scores.with_ids_of(truth, named) == named
    (note,) = coco_scores.notes(truth, named, DetectorConfig(3))
    assert "classes are matched by id" in note


def test_more_numbers_than_classes_tell_no_class(truth):
    named = [annotations.Category(n, f"class {n}") for n in range(1, 11)]
    with pytest.raises(
        UserError, match="has 2 categories, and the detector 10"
    ):
        coco_scores.with_ids_of(truth, named)


def test_names_that_come_twice_are_matched_by_id(truth):
    named = [dataclasses.replace(one, name="a") for one in truth.categories]
    assert coco_scores.with_ids_of(truth, named) == named
    twice = dataclasses.replace(truth, categories=tuple(named))
    found = coco_scores.with_ids_of(twice, truth.categories)
    assert [one.id for one in found] == [one.id for one in truth.categories]


def test_ids_that_are_exchanged_change_no_score(content, tmp_path):
    expected = scores(checked(content, tmp_path), shift=6)
    detector = checked(content, tmp_path).categories
    for entry in content["categories"]:
        entry["id"] = {3: 7, 7: 3}[entry["id"]]
    for entry in content["annotations"]:
        entry["category_id"] = {3: 7, 7: 3}[entry["category_id"]]
    truth = checked(content, tmp_path)
    scored = coco_scores.CocoScores(truth, detector, KINDS)
    for picture in (1, 2, 4):
        scored.add(picture, found_of(picture, 6))
    assert scored.scores() == expected


def test_the_size_of_a_mask_is_its_own(content, tmp_path):
    """A long thin one is small, whatever its box."""
    thin = np.zeros(SIZE, bool)
    at = np.arange(80)
    thin[at, at] = True  # 80 pixels in a box of 6400
    kept = content["annotations"][0]
    kept |= {
        "bbox": [0, 0, 80, 80],
        "area": 80,
        "segmentation": coco_api.encode_mask(thin),
    }
    content["annotations"] = [kept]
    truth = checked(content, tmp_path)
    scored = coco_scores.CocoScores(truth, truth.categories, KINDS)
    right = Detections(
        np.float32([[0, 0, 80, 80]]),
        np.int32([1]),
        np.float32([0.5]),
        thin[None],
    )
    # As thin, and in as large a box: a false one among the small.
    wrong = Detections(
        np.float32([[20, 0, 100, 80]]),
        np.int32([1]),
        np.float32([0.9]),
        np.roll(thin, 20, axis=1)[None],
    )
    for one in (right, wrong):
        scored.add(1, one)
    assert scored.scores()["mask_APs"] == pytest.approx(0.5)


def test_the_truth_as_keypoints_has_all_the_precision(truth):
    assert scores(truth, keypoints=True)["keypoint_AP"] == pytest.approx(1)


def test_both_evaluators_agree(truth, monkeypatch):
    pytest.importorskip("faster_coco_eval")
    fast = scores(truth, shift=6)
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    slow = scores(truth, shift=6)
    assert fast.keys() == slow.keys()
    for key, value in slow.items():
        assert fast[key] == pytest.approx(value, abs=1e-12)


def test_polygons_and_run_lengths_give_the_same_mask():
    corners = [10, 20, 50, 20, 50, 60, 10, 60]
    expected = square(10, 20, 40)
    mask = coco_api.decode_mask([corners], SIZE)
    np.testing.assert_array_equal(mask, expected)
    packed = coco_api.encode_mask(expected)
    np.testing.assert_array_equal(coco_api.decode_mask(packed, SIZE), expected)


def test_without_pycocotools_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(UserError, match=r"\[coco\]"):
        coco_api.decode_mask([[0, 0, 1, 0, 1, 1]], SIZE)
