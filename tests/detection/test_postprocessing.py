"""Postprocessing of outputs, compared with torchvision."""

import numpy as np
import pytest
from keras import ops

from nonlocal_tf.detection import postprocessing
from nonlocal_tf.detection.config import DetectorConfig
from tests.detection import golden


@pytest.mark.parametrize("number", [0, 1, 2])
def test_rescaled_boxes_equal_torchvision(number):
    stored = golden.group("transform", f"case{number}")
    actual = postprocessing.rescale_boxes(
        stored["resized_boxes"], stored["image_size"], stored["image"].shape[:2]
    )
    expected = stored["boxes_back"]
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=2e-5)


def test_selected_detections_equal_torchvision():
    stored = golden.group("boxes", "postprocess")
    logits, proposals = stored["class_logits"], stored["proposals"]
    classes, expected = logits.shape[1], stored["boxes"]
    config = DetectorConfig(classes, detections_per_image=len(expected) + 3)
    outputs = postprocessing.select_detections(
        ops.convert_to_tensor(logits[None]),
        stored["box_regression"].reshape(1, -1, classes, 4),
        (proposals[None], np.ones((1, len(proposals)), "float32")),
        ops.convert_to_tensor(stored["image_size"][None]),
        config,
    )
    count = int(outputs["count"][0])
    assert count == len(expected)
    for key, tolerance in (("boxes", 1e-3), ("scores", 1e-6), ("labels", 0)):
        actual = np.asarray(outputs[key])[0, :count]
        np.testing.assert_allclose(actual, stored[key], rtol=0, atol=tolerance)
