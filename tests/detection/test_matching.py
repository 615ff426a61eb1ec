"""Matching by IoU, compared with torchvision."""

import numpy as np
import pytest
from keras import ops

from nonlocal_tf.detection import anchors, boxes, matching
from tests.detection import golden

STORED = golden.group("boxes", "matcher")
RULES = {
    "rpn": (0.3, 0.7, True),
    "rpn_no_low_quality": (0.3, 0.7, False),
    "roi": (0.5, 0.5, False),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["quality", "quality_single"])
def test_matches_equal_torchvision(name, rule):
    actual = matching.match(ops.convert_to_tensor(STORED[name]), *RULES[rule])
    np.testing.assert_array_equal(actual, STORED[f"{name}_{rule}"])


def test_matches_of_all_anchors_equal_torchvision():
    all_anchors = np.concatenate(anchors.pyramid_anchors((128, 192)))
    iou = boxes.iou(STORED["gt_boxes"], all_anchors)
    actual = matching.match(iou, 0.3, 0.7, True)
    np.testing.assert_array_equal(actual, STORED["anchors_128x192_rpn"])


def test_padding_of_objects_changes_nothing():
    padded = np.stack([np.pad(STORED["quality"], ((0, 2), (0, 0)))] * 2)
    is_object = np.arange(7) < np.array([[5], [0]])
    actual = matching.match(
        ops.convert_to_tensor(padded), 0.3, 0.7, True, is_object
    )
    np.testing.assert_array_equal(actual[0], STORED["quality_rpn"])
    np.testing.assert_array_equal(actual[1], [matching.BELOW] * 24)


def test_without_objects_all_boxes_are_background():
    actual = matching.match(ops.zeros((3, 0, 5)), 0.3, 0.7, True)
    np.testing.assert_array_equal(actual, np.full((3, 5), matching.BELOW))


def test_an_object_without_overlap_matches_no_box():
    iou = np.array([[0.0, 0.0], [0.2, 0.8]], "float32")
    actual = matching.match(ops.convert_to_tensor(iou), 0.3, 0.7, True)
    np.testing.assert_array_equal(actual, [matching.BELOW, 1])
