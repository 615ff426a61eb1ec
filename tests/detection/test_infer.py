"""A detector is built from its file alone."""

import dataclasses
import pickle

import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf import detection
from nonlocal_tf.detection.detector import MaskRCNN
from tests.detection.test_checkpoints import (
    SMALL,
    config_of,
    made_up,
    small_names,
    without_background,
)


def written(tmp_path, source, name, **options):
    """A file, and the detector that it is of."""
    model = MaskRCNN(config_of(source, name, **{**SMALL, **options}))
    arrays = made_up(small_names(source, name, model))
    if source == "detectron2":
        arrays = without_background(arrays)
    path = tmp_path / "model_final.pkl"
    path.write_bytes(pickle.dumps({"model": arrays}))
    detection.load_detector_weights(model, path)
    return path, model


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
def test_the_network_is_that_of_the_file(tmp_path, source, name, options):
    path, expected = written(tmp_path, source, name, **options)
    assert detection.is_detector(path)
    model, report, pixels = detection.detector_of(path)
    is_mask = bool(expected.config.mask_channels)
    unsaid = {} if is_mask else {"mask_deconv_channels": 4}
    if is_mask:
        unsaid["keypoint_channels"] = (6,) * 8
    assert dataclasses.replace(model.config, **unsaid) == expected.config
    for one, other in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert report.path == str(path)
    assert pixels.bgr == (source == "detectron2")


def test_options_are_what_a_file_does_not_say(tmp_path):
    path, _ = written(tmp_path, "torchvision", "maskrcnn_resnet50_fpn")
    model, report, _ = detection.detector_of(
        path, nonlocal_block={}, least_score=0.5
    )
    assert model.config.least_score == 0.5
    assert any("nonlocal" in one for one in report.kept)


def test_a_file_of_something_else_is_named(tmp_path):
    path = tmp_path / "other.pkl"
    path.write_bytes(pickle.dumps({"model": {"x": np.zeros(2)}}))
    assert not detection.is_detector(path)
    with pytest.raises(nl.CheckpointError, match="other.pkl"):
        detection.detector_of(path)


def test_a_detector_without_pyramid_is_named(tmp_path):
    path = tmp_path / "c4.pkl"
    arrays = {"backbone.body.conv1.weight": np.zeros((4, 3, 7, 7))}
    path.write_bytes(pickle.dumps({"model": arrays}))
    with pytest.raises(nl.CheckpointError, match="feature pyramid"):
        detection.detector_of(path)
