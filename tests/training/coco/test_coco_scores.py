"""Average precision of detections with known results, by both evaluators."""

import sys

import numpy as np
import pytest

from nonlocal_tf.detection import Detections, DetectorConfig
from tests.training.coco import squares
from training.coco import coco_api, coco_scores
from training.io.user_error import UserError

pytest.importorskip("pycocotools")

IOU_TYPES = squares.IOU_TYPES


@pytest.fixture
def content():
    return squares.content()


@pytest.fixture
def truth(content, tmp_path):
    return squares.read(content, tmp_path)


@pytest.fixture(params=["faster_coco_eval", "pycocotools"])
def evaluator(request, monkeypatch):
    if request.param == "pycocotools":
        monkeypatch.setitem(sys.modules, "faster_coco_eval", None)


def test_the_ground_truth_has_full_precision(truth):
    scores = squares.scores(truth)
    assert {
        scores[f"{kind}_{metric}"]
        for kind in ("box", "mask")
        for metric in ("AP", "AP50", "AP75")
    } == {1.0}
    assert scores["box_APs"] == -1  # there are no small objects
    assert "keypoint_AP" not in scores


def test_keypoints_of_the_ground_truth_have_full_precision(truth):
    scores = squares.scores(truth, with_keypoints=True)
    assert scores["keypoint_AP"] == pytest.approx(1)


def test_shifted_boxes_count_at_small_thresholds_alone(truth):
    scores = squares.scores(truth, shift=6)
    assert scores["box_AP50"] == 1 and scores["box_AP75"] < 0.5
    assert 0 < scores["box_AP"] < 1


def test_missed_objects_reduce_precision(truth):
    scored = coco_scores.CocoScores(truth, truth.categories, IOU_TYPES)
    scored.add(1, squares.detections_in(1))
    scored.add(2, squares.detections_in(4))  # none
    # All dogs, half of the persons (COCO takes 101 points of recall).
    expected = (1 + 51 / 101) / 2
    assert scored.scores()["box_AP"] == pytest.approx(expected)


def test_precision_without_detections_is_zero(truth):
    scored = coco_scores.CocoScores(truth, truth.categories, IOU_TYPES)
    scored.add(2, squares.detections_in(4))
    scores = scored.scores()
    assert scores["box_AP"] == scores["mask_AP"] == 0


@pytest.mark.parametrize("shift", [2**52, -(2**40)])
def test_ids_may_be_of_any_size(content, tmp_path, shift, evaluator):
    for image in content["images"]:
        image["id"] += shift
    for annotation in content["annotations"]:
        annotation["image_id"] += shift
        annotation["category_id"] += shift
    for category in content["categories"]:
        category["id"] += shift
    truth = squares.read(content, tmp_path)
    scores = squares.scores(truth, id_shift=shift)
    assert scores["box_AP"] == scores["mask_AP"] == 1


def test_an_object_with_id_0_counts(content, tmp_path):
    for annotation in content["annotations"]:
        annotation["id"] -= 1
    truth = squares.read(content, tmp_path)
    assert squares.scores(truth)["box_AP"] == 1


def test_a_missing_number_of_keypoints_is_counted(content, tmp_path):
    for annotation in content["annotations"]:
        del annotation["num_keypoints"]
    truth = squares.read(content, tmp_path)
    scores = squares.scores(truth, with_keypoints=True)
    assert scores["keypoint_AP"] == pytest.approx(1)


def test_skipped_annotations_do_not_count(content, tmp_path):
    invalid = {**content["annotations"][0], "id": 9, "bbox": [500, 500, 3, 4]}
    content["annotations"].append(invalid)
    truth = squares.read(content, tmp_path)
    assert squares.scores(truth)["box_AP"] == 1


def test_an_error_names_an_object_without_mask_and_the_setting(
    content, tmp_path
):
    del content["annotations"][1]["segmentation"]
    truth = squares.read(content, tmp_path)
    message = "annotation 2 has no segmentation.*--set detector.masks=false"
    with pytest.raises(UserError, match=message):
        squares.scores(truth)


def test_a_crowd_without_a_mask_covers_its_box(content, tmp_path, evaluator):
    del content["annotations"][0]["segmentation"]
    content["annotations"][0]["iscrowd"] = 1
    scores = squares.scores(squares.read(content, tmp_path))
    # The detection of the dog in the crowd is ignored.
    assert scores["box_AP"] == scores["mask_AP"] == 1


def test_masks_are_not_scored_if_no_object_has_one(content, tmp_path):
    config = DetectorConfig(3, num_keypoints=squares.NUM_KEYPOINTS)
    truth = squares.read(content, tmp_path)
    iou_types = coco_scores.scored_iou_types(truth, config)
    assert iou_types == (*IOU_TYPES, "keypoints")
    assert coco_scores.notes(truth, truth.categories, config) == []
    for annotation in content["annotations"]:
        del annotation["segmentation"]
    truth = squares.read(content, tmp_path)
    iou_types = coco_scores.scored_iou_types(truth, config)
    assert iou_types == ("bbox", "keypoints")
    (note,) = coco_scores.notes(truth, truth.categories, config)
    assert "masks are not evaluated" in note
    coco_scores.check(truth, config)


def test_masks_of_a_detector_without_masks_are_not_scored():
    config = DetectorConfig(3, masks=False)
    assert coco_scores.detector_iou_types(config) == ("bbox",)


def test_exchanged_ids_change_no_score(content, tmp_path):
    expected = squares.scores(squares.read(content, tmp_path), shift=6)
    categories = squares.read(content, tmp_path).categories
    exchange = {3: 7, 7: 3}
    for entry in content["categories"]:
        entry["id"] = exchange[entry["id"]]
    for entry in content["annotations"]:
        entry["category_id"] = exchange[entry["category_id"]]
    truth = squares.read(content, tmp_path)
    assert squares.scores(truth, 6, categories=categories) == expected


def test_the_size_of_a_mask_is_its_area(content, tmp_path):
    """A long thin mask is small, however large its box is."""
    thin = np.zeros(squares.SIZE, bool)
    diagonal = np.arange(80)
    thin[diagonal, diagonal] = True  # 80 pixels in a box of 6400
    annotation = content["annotations"][0] | {
        "bbox": [0, 0, 80, 80],
        "area": 80,
        "segmentation": coco_api.encode_mask(thin),
    }
    truth = squares.read({**content, "annotations": [annotation]}, tmp_path)
    scored = coco_scores.CocoScores(truth, truth.categories, IOU_TYPES)
    # The false positive is as thin, and its score is higher.
    for shift, score in ((0, 0.5), (20, 0.9)):
        detections = Detections(
            np.float32([[shift, 0, 80 + shift, 80]]),
            np.int32([1]),
            np.float32([score]),
            np.roll(thin, shift, axis=1)[None],
        )
        scored.add(1, detections)
    assert scored.scores()["mask_APs"] == pytest.approx(0.5)


def test_both_evaluators_agree(truth, monkeypatch):
    pytest.importorskip("faster_coco_eval")
    fast = squares.scores(truth, shift=6)
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    slow = squares.scores(truth, shift=6)
    assert fast.keys() == slow.keys()
    for key, value in slow.items():
        assert fast[key] == pytest.approx(value, abs=1e-12)
