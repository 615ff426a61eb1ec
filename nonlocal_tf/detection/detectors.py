"""Detectors by name: `create_detector`."""

from collections.abc import Collection, Sequence
from typing import Any

from nonlocal_tf.choices import check_arguments, unknown
from nonlocal_tf.detection.config import X152_32X8D, DetectorConfig
from nonlocal_tf.detection.model import MaskRCNN
from nonlocal_tf.detection.preprocessing import ImagePreprocessing
from nonlocal_tf.models import freezing
from nonlocal_tf.models.backbones import DEPTHS, STAGES

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
# Parts of detectors, for `freeze`; a detector need not have all heads.
PARTS = (
    "conv1",
    *STAGES,
    "fpn",
    "rpn",
    "box",
    "mask",
    "keypoint",
    freezing.BLOCKS,
    freezing.ALL,
)


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


def freeze(
    detector: MaskRCNN, parts: str | Sequence[str] = FROZEN
) -> list[str]:
    """Freeze parts of a detector; `compile` it afterwards.

    The rule is that of `nonlocal_tf.freeze`: non-local blocks stay trainable
    unless "nonlocal" is named.

    Args:
        detector: the detector.
        parts: names, as a sequence or separated by commas: "conv1" and "res2"
            to "res5" of the backbone, "fpn", "rpn", "box", "mask", "keypoint",
            layers, "nonlocal" for all blocks, or "all" for everything but the
            heads; `()` for none.

    Returns:
        The names of the frozen layers.

    Raises:
        ValueError: a part does not exist, or nothing is left to train.
    """
    if isinstance(parts, str):
        parts = [part.strip() for part in parts.split(",")]
    if freezing.ALL in parts:
        body = [*detector.pyramid.layers, *detector.rpn.layers]
        parts = [part for part in parts if part != freezing.ALL]
        parts += [layer.name for layer in body if layer.weights]
    return freezing.freeze(detector, parts)
