"""Which detector a file has the weights of."""

import itertools
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.checkpoints.load_report import Report
from nonlocal_tf.detection import transform
from nonlocal_tf.detection.checkpoints import (
    SOURCES,
    Source,
    fill,
    names_in,
    read_detector,
    source_of,
)
from nonlocal_tf.detection.config import DetectorConfig
from nonlocal_tf.detection.detector import MaskRCNN


def is_detector(path: str | os.PathLike) -> bool:
    """Whether a file is one that `load_detector_weights` reads."""
    arrays = read_detector(path).arrays
    return any(source.mark in arrays for source in SOURCES.values())


def detector_of(
    path: str | os.PathLike, **options: Any
) -> tuple[MaskRCNN, Report, transform.Pixels]:
    """Builds the detector that a file has the weights of, and loads them.

    Layers, groups, classes and heads are read off the file. Files of
    detectron2 do not say where the stride is: ResNets are taken for MSRA's,
    with `stride_on="1x1"`, ResNeXts for those with "3x3".

    Args:
        path: as of `load_detector_weights`.
        **options: of `DetectorConfig`, before what is read.

    Returns:
        (the detector, a `Report`, the pixels that it wants).

    Raises:
        CheckpointError: as of `load_detector_weights`.
        OSError: the file cannot be opened.
    """
    file = read_detector(path)
    name = source_of(file)
    try:
        config = _config_of(SOURCES[name], file.arrays)
        model = MaskRCNN(DetectorConfig(**{**config, **options}))
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path}: {error}. Expected a Mask or Keypoint R-CNN with a "
            "feature pyramid."
        ) from error
    report = fill(model, file)
    pixels = transform.RGB if name == "torchvision" else transform.BGR
    return model, report, pixels


def _config_of(source: Source, arrays: Mapping[str, np.ndarray]) -> dict:
    """The arguments of `DetectorConfig` that a file's arrays amount to."""

    def shape(layer: str, end: str = "weight") -> tuple[int, ...]:
        names = [f"{name}.{end}" for name in names_in(source, layer)]
        found = [arrays[name].shape for name in names if name in arrays]
        if not found:
            raise KeyError(f"there is no {names[0]}")
        return found[0]

    def has(layer: str) -> bool:
        return any(
            f"{name}.weight" in arrays for name in names_in(source, layer)
        )

    def count(pattern: str) -> int:
        return next(n for n in itertools.count() if not has(pattern.format(n)))

    def channels(pattern: str) -> tuple[int, ...]:
        numbers = itertools.takewhile(
            lambda n: has(pattern.format(n)), itertools.count(1)
        )
        return tuple(shape(pattern.format(n))[0] for n in numbers)

    width = shape("conv1")[0]
    inner, in_group = shape("res2_block0_conv2")[:2]
    groups = inner // in_group
    classes = shape("box_logits")[0]
    found = {
        "num_classes": classes,
        "layers": tuple(
            count(f"res{stage}_block{{}}_conv1") for stage in (2, 3, 4, 5)
        ),
        "width": width,
        "groups": groups,
        "group_width": in_group if groups > 1 else None,
        "stride_on": "1x1" if source.background_last and groups == 1 else "3x3",
        "fpn_channels": shape("fpn_output2")[0],
        "box_units": shape("box_fc1")[0],
        "mask_channels": channels("mask_conv{}"),
    }
    if found["mask_channels"]:
        found["mask_deconv_channels"] = shape("mask_deconv")[1]
    if has("keypoint_deconv"):
        found["keypoints"] = shape("keypoint_deconv")[1]
        found["keypoint_channels"] = channels("keypoint_conv{}")
    return found
