"""Boxes beside torchvision's numbers and loops."""

import numpy as np
import pytest
from keras import ops

from nonlocal_tf.detection import boxes
from tests.detection import golden

CODER = golden.group("boxes", "coder")
WEIGHTS = {"w1": boxes.RPN_WEIGHTS, "w10": boxes.HEAD_WEIGHTS}


@pytest.mark.parametrize("name", WEIGHTS)
def test_encoding_is_torchvisions(name):
    got = boxes.encode(CODER["gt_boxes"], CODER["proposals"], WEIGHTS[name])
    expected = CODER[f"encoded_{name}"]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", WEIGHTS)
def test_decoding_is_torchvisions(name):
    got = boxes.decode(CODER["deltas"], CODER["proposals"], WEIGHTS[name])
    expected = CODER[f"decoded_{name}"]
    # Boxes of thousands of pixels, whose corners are differences.
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-2)


@pytest.mark.parametrize("name", WEIGHTS)
def test_decoding_of_every_class_is_torchvisions(name):
    deltas = CODER["deltas_per_class"].reshape(-1, 3, 4)
    proposals = CODER["proposals"][:, None]
    got = boxes.decode(deltas, proposals, WEIGHTS[name])
    expected = CODER[f"decoded_per_class_{name}"]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-2)


def test_a_side_grows_by_at_most_62_5():
    grown = boxes.decode(
        np.full((1, 4), 1e4, "float32") * [0, 0, 1, 1],
        np.array([[0.0, 0, 8, 4]], "float32"),
    )
    np.testing.assert_allclose(grown, [[-246, -123, 254, 127]], rtol=1e-6)


def test_decoding_undoes_encoding():
    rng = np.random.default_rng(1)
    corner = rng.uniform(0, 90, (2, 7, 2))
    anchors, found = (
        np.concatenate([corner, corner + rng.uniform(3, 50, (2, 7, 2))], -1)
        for _ in range(2)
    )
    deltas = boxes.encode(
        ops.cast(found, "float32"), ops.cast(anchors, "float32")
    )
    back = boxes.decode(deltas, ops.cast(anchors, "float32"))
    np.testing.assert_allclose(back, found, rtol=1e-5, atol=1e-4)


def test_clipping_is_torchvisions():
    stored = golden.group("boxes", "clip")
    got = boxes.clip(stored["boxes"], stored["image_size"])
    np.testing.assert_array_equal(got, stored["clipped"])


def test_overlaps_are_torchvisions():
    stored = golden.group("boxes", "iou")
    got = boxes.iou(stored["boxes1"], stored["boxes2"])
    np.testing.assert_allclose(got, stored["iou"], rtol=0, atol=1e-6)


def test_boxes_without_area_do_not_overlap():
    point = np.array([[3.0, 3, 3, 3]], "float32")
    assert float(boxes.iou(point, point)[0, 0]) == 0
    assert float(boxes.share_inside(point, point)[0, 0]) == 0


def test_the_share_inside_a_region_is_of_the_first_box():
    small = np.array([[0.0, 0, 4, 4]], "float32")
    large = np.array([[2.0, 0, 100, 100]], "float32")
    assert float(boxes.share_inside(small, large)[0, 0]) == 0.5


def test_small_boxes_are_told():
    stored = golden.group("boxes", "remove_small")
    for least in ("1e-3", "1e-2"):
        kept = boxes.has_sides(stored["boxes"], float(least))
        expected = stored[f"keep_{least}"]
        np.testing.assert_array_equal(np.flatnonzero(kept), expected)
