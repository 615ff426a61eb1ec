"""Small detectors with torchvision's made-up weights and what it found."""

import functools
import json

import numpy as np

from nonlocal_tf.detection import checkpoints
from nonlocal_tf.detection.config import DetectorConfig
from nonlocal_tf.detection.detector import MaskRCNN
from tests.detection import golden

# So far torch's own float32 is from its float64, and some more.
NAMES = ("tiny_mask_rcnn", "tiny_keypoint_rcnn", "tiny_mask_rcnn_resize")
PIXELS_CLOSE = {
    "tiny_mask_rcnn": 0.02,
    "tiny_keypoint_rcnn": 0.02,
    "tiny_mask_rcnn_resize": 0.1,
}


@functools.cache
def stored(name):
    """(settings, arrays) of a small detector."""
    arrays = golden.arrays(name)
    return json.loads(str(arrays["config_json"])), arrays


def config_of(name, **options):
    given, _ = stored(name)
    return DetectorConfig(
        num_classes=given["num_classes"],
        layers=tuple(given["layers"]),
        width=given["width"],
        fpn_channels=given["fpn_channels"],
        box_units=given["representation_size"],
        mask_channels=tuple(given.get("mask_layers", ())),
        mask_deconv_channels=given.get("mask_dim_reduced", 1),
        keypoints=given.get("num_keypoints", 0),
        keypoint_channels=tuple(given.get("keypoint_layers", ())),
        proposals_a_level=given["rpn_pre_nms_top_n"],
        proposals=given["rpn_post_nms_top_n"],
        **options,
    )


def detector(name, **options):
    """The network with its weights."""
    return _filled(name, **options)[0]


def loaded(name):
    """Names of torchvision's weights for each variable of `detector`."""
    return _filled(name)[1].loaded


@functools.cache
def _filled(name, **options):
    given, arrays = stored(name)
    model = MaskRCNN(config_of(name, **options))
    weights = {
        key.removeprefix("sd/"): value
        for key, value in arrays.items()
        if key.startswith("sd/")
    }
    epsilon = given["frozen_bn_eps"]
    return model, checkpoints.load_detector_weights(model, weights, epsilon)


def far(got, expected):
    """The largest difference, of the largest value."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    return np.abs(got - expected).max() / np.abs(expected).max()
