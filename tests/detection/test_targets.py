"""Targets of training, compared with torchvision."""

import numpy as np
import pytest

from nonlocal_tf.detection import (
    anchors,
    boxes,
    keypoints,
    matching,
    roi_align,
    targets,
)
from nonlocal_tf.detection.config import TargetSamplingConfig
from tests.detection import golden


@pytest.mark.parametrize("number", [0, 1, 2])
def test_targets_of_anchors_equal_torchvision(number):
    stored = golden.group("losses", "rpn_targets")
    size = tuple(map(int, stored["image_size"]))
    all_anchors = np.concatenate(anchors.pyramid_anchors(size))
    objects = stored[f"gt_boxes{number}"]
    batch = {
        "boxes": objects[None],
        "labels": np.ones((1, len(objects)), "int32"),
        "crowds": np.zeros((1, 0, 4), "float32"),
        "sizes": np.array([size]),
    }
    labels, matches = (
        np.asarray(x)[0]
        for x in targets.anchor_labels(
            all_anchors, batch, TargetSamplingConfig()
        )
    )
    np.testing.assert_array_equal(labels, stored[f"labels{number}"])
    (positive,) = np.nonzero(labels == targets.POSITIVE)
    np.testing.assert_array_equal(positive, stored[f"positive_index{number}"])
    if len(positive):
        deltas = boxes.encode(objects[matches[positive]], all_anchors[positive])
        expected = stored[f"positive_regression_targets{number}"]
        np.testing.assert_allclose(deltas, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_targets_of_rois_equal_torchvision(number):
    objects = golden.arrays("losses")[f"rpn_targets/gt_boxes{number}"]
    stored = golden.group("losses", "roi_targets")
    rois = np.concatenate([stored[f"proposals{number}"], objects])
    np.testing.assert_array_equal(rois, stored[f"all_proposals{number}"])
    matches = np.asarray(matching.match(boxes.iou(objects, rois), 0.5, 0.5))
    is_object = matches >= 0
    matches = np.where(is_object, matches, 0)
    np.testing.assert_array_equal(matches, stored[f"matched_idxs{number}"])
    if len(objects):
        labels = stored[f"gt_labels{number}"][matches]
        labels = np.where(is_object, labels, 0)
        np.testing.assert_array_equal(labels, stored[f"labels{number}"])
        deltas = boxes.encode(objects[matches], rois, boxes.HEAD_WEIGHTS)
        expected = stored[f"regression_targets{number}"]
        np.testing.assert_allclose(deltas, expected, rtol=1e-5, atol=1e-5)


def test_targets_of_masks_equal_torchvision():
    stored = golden.group("losses", "mask")
    pooled = []
    for number in (0, 1):
        matches = stored[f"matched_idxs{number}"]
        masks = stored[f"gt_masks{number}"][matches].astype("float32")
        y = roi_align.roi_align_dense(
            masks[..., None], stored[f"proposals{number}"], 28, max_samples=5
        )
        pooled.append(np.asarray(y)[..., 0])
    np.testing.assert_allclose(
        np.concatenate(pooled), stored["targets"], rtol=0, atol=2e-5
    )


def test_targets_of_keypoints_equal_torchvision():
    stored = golden.group("losses", "keypoint")
    encoded = [
        keypoints.encode(
            stored[f"gt_keypoints{number}"][stored[f"matched_idxs{number}"]],
            stored[f"proposals{number}"],
        )
        for number in (0, 1)
    ]
    cells, valid = (np.concatenate(x) for x in zip(*encoded, strict=True))
    np.testing.assert_array_equal(cells, stored["target_index"])
    np.testing.assert_array_equal(valid, stored["target_valid"] > 0)


def test_targets_of_a_coarse_mask_equal_those_of_the_mask():
    """Interpolation of a ramp is exact at both resolutions."""
    ramp = np.tile(np.arange(24, dtype="float32") / 24, (20, 1))
    coarse = ramp.reshape(10, 2, 12, 2).mean((1, 3))
    whole = np.array([[0, 0, 24, 20]], "float32")
    rois = np.array([[5, 4, 17, 15]], "float32")
    expected, actual = (
        targets.mask_targets(mask[None], whole, rois, max_samples=8)
        for mask in (ramp, coarse)
    )
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)
