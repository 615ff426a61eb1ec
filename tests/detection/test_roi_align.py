"""ROIAlign in its forms beside torchvision's C++ operator."""

import numpy as np
import pytest
from keras import ops

from nonlocal_tf.detection import boxes, roi_align
from tests.detection import golden

CASES = ["case0", "case1", "case2", "case3"]
# Values are up to 4, and sums of eight products in another order.
CLOSE = {"rtol": 0, "atol": 2e-5}


def as_batch(case):
    """Maps, boxes `(batch, rois, 4)` and where each box is in them."""
    of = case["batch_index"]
    batch = len(case["features"])
    most = max(np.bincount(of, minlength=batch))
    padded = np.zeros((batch, most, 4), "float32")
    where = []
    for number in range(batch):
        (here,) = np.nonzero(of == number)
        padded[number, : len(here)] = case["boxes"][here]
        where += [(index, number, place) for place, index in enumerate(here)]
    _, *places = np.array(sorted(where)).T
    return golden.channels_last(case["features"]), padded, tuple(places)


def of_boxes(y, places):
    return np.moveaxis(np.asarray(y)[places], -1, 1)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_gathered_samples_give_torchvisions_values(name, aligned):
    case = golden.group("roi_align", name)
    maps, found, places = as_batch(case)
    scale = [float(case["spatial_scale"])]
    y = roi_align.roi_align([maps], found, scale, 7, aligned=aligned)
    expected = case[f"out_aligned{aligned:d}_s2_7"]
    np.testing.assert_allclose(of_boxes(y, places), expected, **CLOSE)


@pytest.mark.parametrize("name", ["case0", "case1"])
def test_height_and_width_may_differ(name):
    case = golden.group("roi_align", name)
    maps, found, places = as_batch(case)
    scale = [float(case["spatial_scale"])]
    y = roi_align.roi_align([maps], found, scale, (5, 9))
    expected = case["out_aligned0_s2_5x9"]
    np.testing.assert_allclose(of_boxes(y, places), expected, **CLOSE)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("name", ["case0", "case1"])
def test_products_give_torchvisions_adaptive_values(name, aligned):
    case = golden.group("roi_align", name)
    maps = golden.channels_last(case["features"])[case["batch_index"]]
    cells = case["boxes"] * case["spatial_scale"]
    most = int(np.ceil(np.abs(cells).max() / 7)) + 1
    y = roi_align.roi_align_dense(maps, cells, 7, most, aligned=aligned)
    expected = case[f"out_aligned{aligned:d}_adaptive_7"]
    np.testing.assert_allclose(np.moveaxis(y, -1, 1), expected, **CLOSE)


@pytest.mark.parametrize("name", CASES)
def test_products_and_gathered_samples_are_equal(name):
    case = golden.group("roi_align", name)
    maps = golden.channels_last(case["features"])[case["batch_index"]]
    cells = case["boxes"] * case["spatial_scale"]
    y = roi_align.roi_align_dense(maps, cells, 7, 2, samples=2)
    expected = case["out_aligned0_s2_7"]
    np.testing.assert_allclose(np.moveaxis(y, -1, 1), expected, **CLOSE)


def test_levels_are_torchvisions():
    stored = golden.group("boxes", "levels")
    got = roi_align.levels(stored["boxes"])
    np.testing.assert_array_equal(got, stored["level"])


def test_a_box_without_area_is_on_the_finest_level():
    assert int(roi_align.levels(np.zeros((1, 4), "float32"))[0]) == 2


def pyramid():
    case = golden.group("roi_align", "multi")
    maps = [golden.channels_last(case[f"P{level}"]) for level in range(2, 6)]
    found = np.stack([case["boxes0"], case["boxes1"]])
    return case, maps, found


def test_the_levels_of_a_pyramid_are_torchvisions():
    case, _, found = pyramid()
    got = np.reshape(roi_align.levels(found), -1)
    np.testing.assert_array_equal(got, case["levels"])


def test_a_pyramids_values_are_torchvisions():
    case, maps, found = pyramid()
    y = roi_align.roi_align(maps, found, case["scales"].tolist(), 7)
    y = np.moveaxis(np.reshape(y, (-1, 7, 7, 8)), -1, 1)
    np.testing.assert_allclose(y, case["out_7"], **CLOSE)


def test_overlap_of_no_boxes_is_empty():
    none = np.zeros((2, 0, 4), "float32")
    assert boxes.iou(none, none).shape == (2, 0, 0)
    y = roi_align.roi_align([ops.ones((2, 3, 5, 7))], none, [0.25], 3)
    assert y.shape == (2, 0, 3, 3, 7)
