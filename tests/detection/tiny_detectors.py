"""Small detectors with random weights, and the outputs of torchvision's."""

import functools
import json

import numpy as np
import tensorflow as tf

from nonlocal_tf.detection import (
    detector_checkpoints,
    model,
    preprocessing,
)
from nonlocal_tf.detection.config import DetectorConfig
from nonlocal_tf.detection.model import MaskRCNN
from nonlocal_tf.detection.preprocessing import ImagePreprocessing
from tests.detection import golden

# Pixels: a few times the distance of torch's float32 from its float64.
BOX_TOLERANCES = {
    "tiny_mask_rcnn": 0.02,
    "tiny_keypoint_rcnn": 0.02,
    "tiny_mask_rcnn_resize": 0.1,
}
NAMES = tuple(BOX_TOLERANCES)


@functools.cache
def stored(name):
    """Return (settings, arrays) of a small detector."""
    arrays = golden.arrays(name)
    return json.loads(str(arrays["config_json"])), arrays


def config_of(name, **options):
    settings, _ = stored(name)
    return DetectorConfig(
        num_classes=settings["num_classes"],
        layers=tuple(settings["layers"]),
        width=settings["width"],
        fpn_channels=settings["fpn_channels"],
        box_units=settings["representation_size"],
        mask_channels=tuple(settings.get("mask_layers", ())),
        mask_deconv_channels=settings.get("mask_dim_reduced", 1),
        num_keypoints=settings.get("num_keypoints", 0),
        keypoint_channels=tuple(settings.get("keypoint_layers", ())),
        pre_nms_top_n=settings["rpn_pre_nms_top_n"],
        post_nms_top_n=settings["rpn_post_nms_top_n"],
        **options,
    )


def detector(name, **options):
    """Build a detector with its weights."""
    return _with_weights(name, **options)[0]


def loaded(name):
    """Return torchvision's weight names for each variable of `detector`."""
    return _with_weights(name)[1].loaded


@functools.cache
def _with_weights(name, **options):
    settings, arrays = stored(name)
    detector = MaskRCNN(
        config_of(name, **options),
        image_preprocessing=ImagePreprocessing(
            settings["min_size"], settings["max_size"]
        ),
    )
    weights = {
        key.removeprefix("sd/"): value
        for key, value in arrays.items()
        if key.startswith("sd/")
    }
    report = detector_checkpoints.load_detector_weights(
        detector, weights, settings["frozen_bn_eps"]
    )
    return detector, report


def inputs(name):
    """Return the preprocessed image, and its size without padding."""
    settings, arrays = stored(name)
    return preprocessing.preprocess(
        arrays["image"], settings["min_size"], settings["max_size"]
    )


@functools.cache
def outputs(name):
    """Return the outputs of the detector for its image."""
    x, size = inputs(name)
    return detector(name)({"images": x, "sizes": np.asarray([size], "int32")})


@functools.cache
def detections(name):
    """Detect the objects of its image."""
    settings, arrays = stored(name)
    return model.detect(
        lambda _: outputs(name),
        arrays["image"],
        settings["min_size"],
        settings["max_size"],
    )


def training_batch(name, padding=0):
    """Return the stored objects as a batch, with rows of padding."""
    x, size = inputs(name)
    objects = golden.group(name, "train")
    pad = ((0, 0), (0, padding))
    boxes = np.pad(objects["boxes"][None], (*pad, (0, 0)))
    batch = {
        "images": x,
        "sizes": np.asarray([size], "int32"),
        "boxes": boxes,
        "labels": np.pad(objects["labels"][None].astype("int32"), pad),
        "crowds": np.zeros((1, 0, 4), "float32"),
    }
    if "masks" in objects:
        masks = objects["masks"][None].astype("float32")
        batch["masks"] = np.pad(masks, (*pad, (0, 0), (0, 0)))
        height, width = masks.shape[2:]
        whole = np.array([0, 0, width, height], "float32")
        batch["mask_boxes"] = np.broadcast_to(whole, boxes.shape)
    if "keypoints" in objects:
        points = objects["keypoints"][None]
        batch["keypoints"] = np.pad(points, (*pad, (0, 0), (0, 0)))
    return {key: tf.constant(value) for key, value in batch.items()}


def nearest(boxes, expected):
    """Return for each expected box the nearest box and its distance."""
    distance = np.abs(boxes[None] - expected[:, None]).max(-1)
    return distance.argmin(-1), distance.min(-1)


def relative_error(actual, expected):
    """Return the largest difference, as a share of the largest value."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    return np.abs(actual - expected).max() / np.abs(expected).max()
