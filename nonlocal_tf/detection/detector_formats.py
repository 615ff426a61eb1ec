"""Names of weights in files of torchvision and detectron2."""

import dataclasses
import re
from collections.abc import Callable, Collection, Iterator

from nonlocal_tf.checkpoints import unsupported_networks
from nonlocal_tf.checkpoints.errors import CheckpointError

# Pattern of a layer's name, and the name in the file; the first that the file
# has counts.
BLOCK = r"res(\d)_block(\d+)_"
TORCHVISION = (
    (r"conv1", "backbone.body.conv1"),
    (r"conv1_affine", "backbone.body.bn1"),
    (BLOCK + r"conv(\d)", "backbone.body.layer{0-1}.{1}.conv{2}"),
    (
        BLOCK + r"conv(\d)_affine",
        "backbone.body.layer{0-1}.{1}.bn{2}",
    ),
    (
        BLOCK + r"shortcut",
        "backbone.body.layer{0-1}.{1}.downsample.0",
    ),
    (
        BLOCK + r"shortcut_affine",
        "backbone.body.layer{0-1}.{1}.downsample.1",
    ),
    (r"fpn_lateral(\d)", "backbone.fpn.inner_blocks.{0-2}.0"),
    (r"fpn_lateral(\d)", "backbone.fpn.inner_blocks.{0-2}"),
    (r"fpn_output(\d)", "backbone.fpn.layer_blocks.{0-2}.0"),
    (r"fpn_output(\d)", "backbone.fpn.layer_blocks.{0-2}"),
    (r"rpn_conv", "rpn.head.conv.0.0"),
    (r"rpn_conv", "rpn.head.conv"),
    (r"rpn_logits", "rpn.head.cls_logits"),
    (r"rpn_deltas", "rpn.head.bbox_pred"),
    (r"box_fc(\d)", "roi_heads.box_head.fc{0+5}"),
    (r"box_logits", "roi_heads.box_predictor.cls_score"),
    (r"box_deltas", "roi_heads.box_predictor.bbox_pred"),
    (r"mask_conv(\d)", "roi_heads.mask_head.{0-1}.0"),
    (r"mask_conv(\d)", "roi_heads.mask_head.mask_fcn{0}"),
    (r"mask_deconv", "roi_heads.mask_predictor.conv5_mask"),
    (r"mask_logits", "roi_heads.mask_predictor.mask_fcn_logits"),
    (r"keypoint_conv(\d)", "roi_heads.keypoint_head.{0*2-2}"),
    (r"keypoint_deconv", "roi_heads.keypoint_predictor.kps_score_lowres"),
)
DETECTRON2 = (
    (r"conv1", "backbone.bottom_up.stem.conv1"),
    (r"conv1_affine", "backbone.bottom_up.stem.conv1.norm"),
    (BLOCK + r"conv(\d)", "backbone.bottom_up.res{0}.{1}.conv{2}"),
    (
        BLOCK + r"conv(\d)_affine",
        "backbone.bottom_up.res{0}.{1}.conv{2}.norm",
    ),
    (BLOCK + r"shortcut", "backbone.bottom_up.res{0}.{1}.shortcut"),
    (
        BLOCK + r"shortcut_affine",
        "backbone.bottom_up.res{0}.{1}.shortcut.norm",
    ),
    (r"fpn_lateral(\d)", "backbone.fpn_lateral{0}"),
    (r"fpn_output(\d)", "backbone.fpn_output{0}"),
    (r"rpn_conv", "proposal_generator.rpn_head.conv"),
    (r"rpn_logits", "proposal_generator.rpn_head.objectness_logits"),
    (r"rpn_deltas", "proposal_generator.rpn_head.anchor_deltas"),
    (r"box_fc(\d)", "roi_heads.box_head.fc{0}"),
    (r"box_logits", "roi_heads.box_predictor.cls_score"),
    (r"box_deltas", "roi_heads.box_predictor.bbox_pred"),
    (r"mask_conv(\d)", "roi_heads.mask_head.mask_fcn{0}"),
    (r"mask_deconv", "roi_heads.mask_head.deconv"),
    (r"mask_logits", "roi_heads.mask_head.predictor"),
    (r"keypoint_conv(\d)", "roi_heads.keypoint_head.conv_fcn{0}"),
    (r"keypoint_deconv", "roi_heads.keypoint_head.score_lowres"),
)


@dataclasses.dataclass(frozen=True)
class DetectorFormat:
    """Weight names and conventions of a library's files.

    Attributes:
        marker: a name that only its files have.
        names: patterns of our layers' names, and their names in the file.
        background_last: True if the background is the last class, without
            deltas and masks.
        norm_epsilon: added to the variances of frozen normalizations.
    """

    marker: str
    names: tuple[tuple[str, str], ...]
    background_last: bool
    norm_epsilon: float


FORMATS = {
    "torchvision": DetectorFormat(
        "backbone.body.conv1.weight", TORCHVISION, False, 0.0
    ),
    "detectron2": DetectorFormat(
        "backbone.bottom_up.stem.conv1.weight", DETECTRON2, True, 1e-5
    ),
}


# Pattern of a name that only files of another detector have, and what it is.
UNSUPPORTED = (
    (
        r"^roi_heads\.box_head\.\d\.0\.weight$",
        "of torchvision's second version (*_fpn_v2), whose box head has four "
        "convolutions and which has batch normalization in its FPN and heads",
    ),
    (
        r"^head\.(cls_subnet|classification_head)\.",
        "without ROI heads (RetinaNet)",
    ),
    (r"^roi_heads\.box_head\.0\.fc1\.", "of several box heads (Cascade R-CNN)"),
    (
        r"^(roi_heads|backbone)\.(res5|stem)\.",
        "without a feature pyramid (C4, DC5)",
    ),
    (r"^sem_seg_head\.", "with semantic segmentation (Panoptic FPN)"),
    (r"\.conv2_offset\.", "with deformable convolutions"),
    (
        r"^backbone\.fpn_lateral\d\.norm\.",
        "with normalizations in its FPN (GN, SyncBN)",
    ),
)


def check_supported(names: Collection[str]) -> None:
    """Raise a CheckpointError if the names are those of another detector."""
    detector = unsupported_networks.find(names, UNSUPPORTED)
    if detector is not None:
        raise CheckpointError(
            f"These are the weights of a detector {detector}. Expected a Mask "
            "or Keypoint R-CNN with a ResNet and an FPN, such as torchvision's "
            "maskrcnn_resnet50_fpn or detectron2's mask_rcnn_R_50_FPN_3x."
        )


def format_of(names: Collection[str]) -> str | None:
    """Return the key in `FORMATS` of a file's weight names, if it has one."""
    for key, detector_format in FORMATS.items():
        if detector_format.marker in names:
            return key
    return None


def weight_names(detector_format: DetectorFormat, layer: str) -> Iterator[str]:
    """Yield the names that a layer may have in files of a format."""
    for pattern, name in detector_format.names:
        match = re.fullmatch(pattern, layer)
        if match:
            numbers = [int(group) for group in match.groups()]
            yield re.sub(r"\{(\d)([^}]*)\}", _fill_number(numbers), name)


def _fill_number(numbers: list[int]) -> Callable[[re.Match], str]:
    """Fill `{0}`, `{0-1}` and `{0*2-2}` from the groups of a pattern."""

    def fill(match: re.Match) -> str:
        value = numbers[int(match[1])]
        for sign, operand in re.findall(r"([*+-])(\d+)", match[2]):
            value = {
                "*": value * int(operand),
                "+": value + int(operand),
                "-": value - int(operand),
            }[sign]
        return str(value)

    return fill
