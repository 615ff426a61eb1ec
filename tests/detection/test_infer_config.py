"""Detectors built from their checkpoint alone."""

import dataclasses
import pickle

import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf import detection
from tests.detection import detector_files


@pytest.mark.parametrize(
    ("source", "name", "options"),
    [
        ("torchvision", "maskrcnn_resnet50_fpn", {}),
        ("torchvision", "keypointrcnn_resnet50_fpn", {}),
        ("detectron2", "mask_rcnn_R_50_FPN", {}),
        ("detectron2", "keypoint_rcnn_R_50_FPN", {}),
        (
            "torchvision",
            "maskrcnn_resnext",
            {"width": 6, "groups": 3, "group_width": 4},
        ),
    ],
)
def test_detector_equals_that_of_the_file(tmp_path, source, name, options):
    path, expected = detector_files.write(tmp_path, source, name, **options)
    assert detection.is_detector_checkpoint(path)
    model, report, normalization = detection.from_checkpoint(path)
    # The file says nothing of a head that it does not have.
    missing_head = {"mask_deconv_channels": 4}
    if expected.config.mask_channels:
        missing_head = {"keypoint_channels": (6,) * 8}
    assert dataclasses.replace(model.config, **missing_head) == expected.config
    for actual, weight in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(actual.numpy(), weight.numpy())
    assert report.path == str(path)
    assert normalization.bgr == (source == "detectron2")


def test_options_override_the_inferred_configuration(tmp_path):
    path, _ = detector_files.write(
        tmp_path, "torchvision", "maskrcnn_resnet50_fpn"
    )
    model, report, _ = detection.from_checkpoint(
        path, nonlocal_block={}, score_threshold=0.5
    )
    assert model.config.score_threshold == 0.5
    assert any("nonlocal" in path for path in report.kept)


def test_an_error_names_a_file_of_something_else(tmp_path):
    path = tmp_path / "other.pkl"
    path.write_bytes(pickle.dumps({"model": {"x": np.zeros(2)}}))
    assert not detection.is_detector_checkpoint(path)
    with pytest.raises(nl.CheckpointError, match="other.pkl"):
        detection.from_checkpoint(path)


def test_a_detector_without_feature_pyramid_is_rejected(tmp_path):
    path = tmp_path / "c4.pkl"
    arrays = {"backbone.body.conv1.weight": np.zeros((4, 3, 7, 7))}
    path.write_bytes(pickle.dumps({"model": arrays}))
    with pytest.raises(nl.CheckpointError, match="feature pyramid"):
        detection.from_checkpoint(path)
