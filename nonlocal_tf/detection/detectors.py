"""Detectors by name: `create_detector`."""

from collections.abc import Collection, Sequence
from typing import Any

from nonlocal_tf.choices import check_arguments, unknown
from nonlocal_tf.detection.config import X152_32X8D, DetectorConfig
from nonlocal_tf.detection.model import MaskRCNN
from nonlocal_tf.detection.preprocessing import ImagePreprocessing
from nonlocal_tf.models.backbones import DEPTHS

# Arguments of `DetectorConfig`. ResNets have the strides of Detectron's.
DETECTORS: dict[str, dict[str, Any]] = {
    "r50": {"layers": DEPTHS[50], "stride_on": "1x1"},
    "r101": {"layers": DEPTHS[101], "stride_on": "1x1"},
    "x152": X152_32X8D,
    # For images of up to some 300 pixels, on a CPU.
    "small": {
        "layers": (1, 1, 2, 1),
        "width": 16,
        "fpn_channels": 32,
        "anchor_sizes_px": (16, 32, 64, 128, 256),
        "box_units": 128,
        "mask_channels": (32, 32),
        "mask_deconv_channels": 32,
        # Used if `num_keypoints` is set.
        "keypoint_channels": (64,) * 4,
        "pre_nms_top_n": 200,
        "post_nms_top_n": 200,
    },
}
# Stages that transfer from ImageNet leaves as they are, as in Detectron.
FROZEN = ("conv1", "res2")


def create_detector(
    name: str,
    classes: Sequence[str],
    *,
    image_preprocessing: ImagePreprocessing | None = None,
    **options: Any,
) -> MaskRCNN:
    """Create a detector by its name, with random weights.

    Args:
        name: "r50" or "r101", Mask R-CNN on a ResNet with a feature pyramid;
            "x152", on Detectron's ResNeXt; or "small", a network for images of
            up to some 300 pixels.
        classes: class names, without the background.
        image_preprocessing: sizes and normalization of images. Default: a
            short side of 800 and a long side of 1333 pixels at most.
        **options: arguments of `DetectorConfig`, such as `nonlocal_block={}`
            for the paper's block in res4, `masks=False` for boxes alone, or
            `num_keypoints`.

    Returns:
        The detector, to `compile` and `fit`.

    Raises:
        ValueError: the name is unknown, or an option has an impossible value.
        TypeError: an option is unknown, or classes are no names.

    Example:

    >>> from nonlocal_tf import detection
    >>> model = detection.create_detector(
    ...     "small", ["dog", "cat"], nonlocal_block={}
    ... )
    >>> model.classes
    ('dog', 'cat')
    """
    if name not in DETECTORS:
        raise ValueError(unknown("detector", name, DETECTORS))
    if isinstance(classes, str) or not (
        isinstance(classes, Collection)
        and all(isinstance(name, str) for name in classes)
    ):
        raise TypeError(
            "Expected classes as a sequence of names. Received: "
            f"classes={classes!r}"
        )
    check_arguments("create_detector", DetectorConfig, options)
    arguments = {**DETECTORS[name], **options}
    config = DetectorConfig(num_classes=1 + len(classes), **arguments)
    return MaskRCNN(config, classes, image_preprocessing)


def freeze(detector: MaskRCNN, stages: tuple[str, ...] = FROZEN) -> None:
    """Freeze stages of the backbone; `compile` the detector afterwards.

    Args:
        detector: the detector.
        stages: names such as "conv1" and "res2"; `()` freezes none.

    Raises:
        ValueError: a stage does not exist.
    """
    for stage in stages:
        layers = [
            layer
            for layer in detector.pyramid.layers
            if layer.name.split("_")[0] == stage
        ]
        if not layers:
            raise ValueError(
                f"The backbone has no stage {stage!r}. Expected conv1, res2, "
                "res3, res4 or res5."
            )
        for layer in layers:
            layer.trainable = False
