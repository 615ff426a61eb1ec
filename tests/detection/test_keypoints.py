"""Keypoints as cells and back, beside torchvision's numbers."""

import numpy as np

from nonlocal_tf.detection import keypoints, tf_ops
from tests.detection import golden


def test_cells_are_torchvisions():
    stored = golden.group("keypoints", "encode")
    cells = int(stored["heatmap_size"])
    got, valid = keypoints.encode(stored["keypoints"], stored["rois"], cells)
    np.testing.assert_array_equal(got, stored["index"])
    np.testing.assert_array_equal(valid, stored["valid"] > 0)


def test_decoded_points_are_torchvisions():
    stored = golden.group("keypoints", "decode")
    maps = golden.channels_last(stored["heatmaps"])
    points, scores = keypoints.decode(maps, stored["rois"])
    # Where the best two are as near, rounding may choose the other.
    sure = stored["margin"] > 1e-4
    assert sure.mean() > 0.9
    expected = stored["keypoints"]
    np.testing.assert_allclose(points[sure], expected[sure], rtol=0, atol=1e-4)
    np.testing.assert_allclose(scores, stored["scores"], rtol=0, atol=2e-5)


def test_a_box_without_area_has_no_cells():
    point = np.array([[[5.0, 5.0, 2.0]]], "float32")
    box = np.array([[5.0, 4.0, 5.0, 9.0]], "float32")
    index, valid = keypoints.encode(point, box)
    assert index.shape == valid.shape == (1, 1)


def test_a_graph_decodes_the_same_points():
    random = np.random.default_rng(2)
    maps = random.standard_normal((3, 7, 7, 2)).astype("float32")
    boxes = np.array(
        [[3, 4, 15.5, 9.25], [0, 0, 40, 31], [7, 7, 7.5, 20]], "float32"
    )
    expected, expected_logits = keypoints.decode(maps, boxes)
    points, logits = tf_ops.decode_keypoints(maps, boxes)
    np.testing.assert_allclose(points, expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(logits, expected_logits, rtol=0, atol=1e-5)
