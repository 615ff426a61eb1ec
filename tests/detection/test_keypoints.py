"""Encoding and decoding of keypoints, compared with torchvision."""

import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf.detection import keypoints
from tests.detection import golden

BICUBIC = golden.group("keypoints", "bicubic")


def test_cells_equal_torchvision():
    stored = golden.group("keypoints", "encode")
    cells = int(stored["heatmap_size"])
    index, valid = keypoints.encode(stored["keypoints"], stored["rois"], cells)
    np.testing.assert_array_equal(index, stored["index"])
    np.testing.assert_array_equal(valid, stored["valid"] > 0)


def test_a_box_without_area_has_no_cells():
    point = np.array([[[5.0, 5.0, 2.0]]], "float32")
    box = np.array([[5.0, 4.0, 5.0, 9.0]], "float32")
    index, valid = keypoints.encode(point, box)
    assert index.shape == valid.shape == (1, 1)


@pytest.mark.parametrize("decode", [keypoints.decode, "graph"])
def test_decoded_points_equal_torchvision(decode):
    if decode == "graph":
        decode = tf.function(keypoints.decode, autograph=False)
    stored = golden.group("keypoints", "decode")
    maps = golden.channels_last(stored["heatmaps"])
    points, scores = decode(maps, stored["rois"])
    # Rounding may choose the other pixel where two are nearly equal.
    is_clear = stored["margin"] > 1e-4
    assert is_clear.mean() > 0.9
    np.testing.assert_allclose(
        points.numpy()[is_clear],
        stored["keypoints"][is_clear],
        rtol=0,
        atol=1e-4,
    )
    np.testing.assert_allclose(scores, stored["scores"], rtol=0, atol=2e-5)


@pytest.mark.parametrize("number", range(6))
def test_cubic_resizing_equals_pytorch(number):
    height, width = BICUBIC["sizes"][number]
    rows = keypoints.cubic_weights(13, height).numpy()
    columns = keypoints.cubic_weights(11, width).numpy()
    actual = rows @ BICUBIC["input"] @ columns.T
    expected = BICUBIC[f"output{number}"]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(("cells", "size"), [(5, 13), (13, 5), (7, 7), (1, 3)])
def test_cubic_resizing_keeps_a_constant(cells, size):
    weights = keypoints.cubic_weights(cells, size).numpy()
    assert weights.shape == (size, cells)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=0, atol=1e-6)
