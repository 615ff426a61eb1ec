"""Areas, IoU and encoding of boxes, compared with torchvision."""

import numpy as np
import pytest
from keras import ops

from nonlocal_tf.detection import boxes
from tests.detection import golden

CODER = golden.group("boxes", "coder")
WEIGHTS = {"w1": boxes.RPN_WEIGHTS, "w10": boxes.HEAD_WEIGHTS}


@pytest.mark.parametrize("name", WEIGHTS)
def test_encoding_equals_torchvision(name):
    actual = boxes.encode(CODER["gt_boxes"], CODER["proposals"], WEIGHTS[name])
    expected = CODER[f"encoded_{name}"]
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", WEIGHTS)
def test_decoding_equals_torchvision(name):
    actual = boxes.decode(CODER["deltas"], CODER["proposals"], WEIGHTS[name])
    expected = CODER[f"decoded_{name}"]
    # Boxes of thousands of pixels, whose corners are differences.
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-2)


@pytest.mark.parametrize("name", WEIGHTS)
def test_decoding_of_all_classes_equals_torchvision(name):
    deltas = CODER["deltas_per_class"].reshape(-1, 3, 4)
    proposals = CODER["proposals"][:, None]
    actual = boxes.decode(deltas, proposals, WEIGHTS[name])
    expected = CODER[f"decoded_per_class_{name}"]
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-2)


def test_decoded_sides_grow_by_62_5_at_most():
    decoded = boxes.decode(
        np.full((1, 4), 1e4, "float32") * [0, 0, 1, 1],
        np.array([[0.0, 0, 8, 4]], "float32"),
    )
    np.testing.assert_allclose(decoded, [[-246, -123, 254, 127]], rtol=1e-6)


def test_decoding_inverts_encoding():
    rng = np.random.default_rng(1)
    corner = rng.uniform(0, 90, (2, 7, 2))
    anchors, expected = (
        np.concatenate([corner, corner + rng.uniform(3, 50, (2, 7, 2))], -1)
        for _ in range(2)
    )
    anchors = ops.cast(anchors, "float32")
    deltas = boxes.encode(ops.cast(expected, "float32"), anchors)
    decoded = boxes.decode(deltas, anchors)
    np.testing.assert_allclose(decoded, expected, rtol=1e-5, atol=1e-4)


def test_clipping_equals_torchvision():
    stored = golden.group("boxes", "clip")
    actual = boxes.clip(stored["boxes"], stored["image_size"])
    np.testing.assert_array_equal(actual, stored["clipped"])


def test_iou_equals_torchvision():
    stored = golden.group("boxes", "iou")
    actual = boxes.iou(stored["boxes1"], stored["boxes2"])
    np.testing.assert_allclose(actual, stored["iou"], rtol=0, atol=1e-6)


def test_boxes_without_area_do_not_overlap():
    point = np.array([[3.0, 3, 3, 3]], "float32")
    assert float(boxes.iou(point, point)[0, 0]) == 0
    assert float(boxes.overlap_fraction(point, point)[0, 0]) == 0


def test_overlap_of_no_boxes_is_empty():
    empty = np.zeros((2, 0, 4), "float32")
    assert boxes.iou(empty, empty).shape == (2, 0, 0)


def test_overlap_fraction_is_of_the_box_not_of_the_region():
    box = np.array([[0.0, 0, 4, 4]], "float32")
    region = np.array([[2.0, 0, 100, 100]], "float32")
    assert float(boxes.overlap_fraction(box, region)[0, 0]) == 0.5


@pytest.mark.parametrize("min_side", ["1e-3", "1e-2"])
def test_small_boxes_are_those_that_torchvision_removes(min_side):
    stored = golden.group("boxes", "remove_small")
    kept = boxes.has_min_side(stored["boxes"], float(min_side))
    expected = stored[f"keep_{min_side}"]
    np.testing.assert_array_equal(np.flatnonzero(kept), expected)
