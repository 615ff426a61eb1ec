"""Detectors built from their checkpoint alone."""

import itertools
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.checkpoints.load_report import LoadReport
from nonlocal_tf.detection import preprocessing
from nonlocal_tf.detection.config import DetectorConfig
from nonlocal_tf.detection.detector_checkpoints import (
    assign_detector,
    detector_format,
    read_detector,
)
from nonlocal_tf.detection.detector_formats import (
    FORMATS,
    DetectorFormat,
    format_of,
    weight_names,
)
from nonlocal_tf.detection.model import MaskRCNN


def is_detector_checkpoint(path: str | os.PathLike) -> bool:
    """Return True for a file that `load_detector_weights` reads."""
    return format_of(read_detector(path).arrays) is not None


def from_checkpoint(
    path: str | os.PathLike, **options: Any
) -> tuple[MaskRCNN, LoadReport, preprocessing.PixelNormalization]:
    """Build the detector of a checkpoint and load its weights.

    Layers, groups, classes and heads are inferred from the file. Files of
    detectron2 do not say which convolution has the stride: ResNets get MSRA's
    `stride_on="1x1"`, ResNeXts "3x3".

    Args:
        path: a file for `load_detector_weights`.
        **options: arguments of `DetectorConfig`; they override those inferred.

    Returns:
        The detector, a `LoadReport`, and the normalization of its pixels.

    Raises:
        CheckpointError: as `load_detector_weights`.
        OSError: the file cannot be opened.
    """
    checkpoint = read_detector(path)
    name = detector_format(checkpoint)
    try:
        config = _infer_config(FORMATS[name], checkpoint.arrays)
        model = MaskRCNN(DetectorConfig(**{**config, **options}))
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path}: {error}. Expected a Mask or Keypoint R-CNN with a "
            "feature pyramid."
        ) from error
    report = assign_detector(model, checkpoint)
    is_rgb = name == "torchvision"
    normalization = preprocessing.RGB if is_rgb else preprocessing.BGR
    model.image_preprocessing = preprocessing.ImagePreprocessing(
        normalization=normalization
    )
    return model, report, normalization


def _infer_config(
    file_format: DetectorFormat, arrays: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Infer the arguments of `DetectorConfig` from the arrays of a file."""

    def shape(layer: str) -> tuple[int, ...]:
        names = names_of(layer)
        shapes = [arrays[name].shape for name in names if name in arrays]
        if not shapes:
            raise KeyError(f"there is no {names[0]}")
        return shapes[0]

    def names_of(layer: str) -> list[str]:
        return [f"{name}.weight" for name in weight_names(file_format, layer)]

    def has(layer: str) -> bool:
        return any(name in arrays for name in names_of(layer))

    def count(pattern: str) -> int:
        return next(n for n in itertools.count() if not has(pattern.format(n)))

    def channels(pattern: str) -> tuple[int, ...]:
        numbers = itertools.takewhile(
            lambda n: has(pattern.format(n)), itertools.count(1)
        )
        return tuple(shape(pattern.format(n))[0] for n in numbers)

    inner_width, group_width = shape("res2_block0_conv2")[:2]
    groups = inner_width // group_width
    has_msra_stride = file_format.background_last and groups == 1
    config: dict[str, Any] = {
        "num_classes": shape("box_logits")[0],
        "layers": tuple(
            count(f"res{stage}_block{{}}_conv1") for stage in (2, 3, 4, 5)
        ),
        "width": shape("conv1")[0],
        "groups": groups,
        "group_width": group_width if groups > 1 else None,
        "stride_on": "1x1" if has_msra_stride else "3x3",
        "fpn_channels": shape("fpn_output2")[0],
        "box_units": shape("box_fc1")[0],
        "mask_channels": channels("mask_conv{}"),
    }
    if config["mask_channels"]:
        config["mask_deconv_channels"] = shape("mask_deconv")[1]
    if has("keypoint_deconv"):
        config["num_keypoints"] = shape("keypoint_deconv")[1]
        config["keypoint_channels"] = channels("keypoint_conv{}")
    return config
