"""Configurations of a detector and of its sampling in training, as data."""

import dataclasses
from typing import Any

from nonlocal_tf.choices import is_positive_integer, unknown
from nonlocal_tf.detection import anchors
from nonlocal_tf.models.backbones import DEPTHS
from nonlocal_tf.models.resnet_layers import EXPANSION, STRIDES_ON, StrideOn

# Half the channels and a subsampling by 2 are the paper's, for all its blocks
# (section 3.3). The norm is our choice, as the paper's code for detection is
# not public: a detector keeps no batch statistics, so it is a scale and a
# shift instead of the batch normalization of section 4.1.
BLOCK = {"norm": "affine", "subsample": 2}
# The backbone of Detectron's X-152-32x8d-FPN, as arguments of
# `DetectorConfig`.
X152_32X8D: dict[str, Any] = {
    "layers": (3, 8, 36, 3),
    "stride_on": "3x3",
    "groups": 32,
    "group_width": 8,
}
SMOOTH_L1_BETA = 1 / 9  # of both box losses, as in torchvision


@dataclasses.dataclass(frozen=True)
class DetectorConfig:
    """Configuration of a Mask or Keypoint R-CNN.

    Attributes:
        num_classes: number of classes, with the background, which is class 0.
        layers: numbers of residual blocks of res2 to res5.
        width: channels of the first convolution; res2 to res5 end with 4, 8,
            16 and 32 times as many.
        stride_on: the strided convolution of a residual block: "3x3" as in
            torchvision and in ResNeXts, or "1x1" as in Detectron's ResNets.
        groups: groups of the 3x3 convolutions of residual blocks; more than
            one makes a ResNeXt.
        group_width: channels of a group in res2; res3 to res5 have 2, 4 and 8
            times as many. Default: `width`, which goes with one group.
        nonlocal_block: arguments of a `NonLocalBlock` before the last residual
            block of res4; {} for the paper's, which subsamples keys and values
            by 2. None for no block.
        fpn_channels: channels of P2 to P6 and of the RPN's hidden layer.
        anchor_sizes_px: side of a square anchor of each pyramid level.
        aspect_ratios: height to width of the anchors.
        box_units: units of the two hidden layers of the box head.
        mask_channels: channels of the convolutions of the mask head; () for
            no mask head.
        mask_deconv_channels: channels of its transposed convolution.
        num_keypoints: keypoints of an object; 0 for no keypoint head.
        keypoint_channels: channels of the convolutions of the keypoint head.
        keypoint_nonlocal_block: arguments of a `NonLocalBlock` after every
            second convolution of the keypoint head, as `nonlocal_block`.
        aligned: use ROIAlign's half-pixel offset, as detectron2's ROIAlignV2.
        sampling_ratio: ROIAlign's samples along each side of a bin.
        pre_nms_top_n: proposals of each pyramid level kept before NMS.
            `TargetSamplingConfig` may have another number for training.
        post_nms_top_n: proposals of each image kept after NMS, likewise.
        proposal_iou_threshold: IoU above which NMS removes a proposal.
        proposal_min_side_px: smallest side of a proposal.
        score_threshold: smallest score of a detection.
        iou_threshold: IoU above which NMS removes a detection of the same
            class.
        detections_per_image: detections of each image kept after NMS.
        detection_min_side_px: smallest side of a detection.
        masks: False for no mask head whatever `mask_channels` are, as for
            data of boxes alone. Default: a mask head if `mask_channels` has
            any.

    Raises:
        ValueError: a field is out of range, or fields contradict each other.

    References:
        He et al., Mask R-CNN, ICCV 2017.
        Xie et al., Aggregated Residual Transformations, CVPR 2017 (groups).

    Example:

    >>> from nonlocal_tf.detection import X152_32X8D, DetectorConfig
    >>> config = DetectorConfig(**X152_32X8D, nonlocal_block={})
    >>> config.inner_width, config.layers
    (256, (3, 8, 36, 3))
    """

    num_classes: int = 81
    layers: tuple[int, int, int, int] = DEPTHS[50]
    width: int = 64
    stride_on: StrideOn = "3x3"
    groups: int = 1
    group_width: int | None = None
    nonlocal_block: dict[str, Any] | None = None
    fpn_channels: int = 256
    anchor_sizes_px: tuple[int, ...] = anchors.SIZES_PX
    aspect_ratios: tuple[float, ...] = anchors.ASPECT_RATIOS
    box_units: int = 1024
    mask_channels: tuple[int, ...] = (256,) * 4
    mask_deconv_channels: int = 256
    num_keypoints: int = 0
    keypoint_channels: tuple[int, ...] = (512,) * 8
    keypoint_nonlocal_block: dict[str, Any] | None = None
    aligned: bool = False
    sampling_ratio: int = 2
    pre_nms_top_n: int = 1000
    post_nms_top_n: int = 1000
    proposal_iou_threshold: float = 0.7
    proposal_min_side_px: float = 1e-3
    score_threshold: float = 0.05
    iou_threshold: float = 0.5
    detections_per_image: int = 100
    detection_min_side_px: float = 1e-2
    masks: bool | None = None

    @property
    def has_masks(self) -> bool:
        """True with a mask head."""
        return bool(self.mask_channels) and self.masks is not False

    @property
    def inner_width(self) -> int:
        """Channels of the 3x3 convolutions of res2; doubled by each stage."""
        return self.groups * self._width_per_group

    @property
    def expansion(self) -> int:
        """Output channels of a residual block, as a multiple of the inner."""
        return EXPANSION * self.width // self.inner_width

    @property
    def block(self) -> dict[str, Any]:
        """All arguments of the block of res4."""
        return _with_defaults(self.nonlocal_block)

    @property
    def head_block(self) -> dict[str, Any]:
        """All arguments of the blocks of the keypoint head."""
        return _with_defaults(self.keypoint_nonlocal_block)

    @property
    def _width_per_group(self) -> int:
        return self.width if self.group_width is None else self.group_width

    def __post_init__(self) -> None:
        if self.stride_on not in STRIDES_ON:
            raise ValueError(unknown("stride_on", self.stride_on, STRIDES_ON))
        self._check_groups()
        self._check_thresholds()
        if self.masks and not self.mask_channels:
            raise ValueError(
                "Expected `mask_channels` of a detector with masks. Received: "
                f"masks={self.masks}, mask_channels={self.mask_channels}"
            )
        if self.num_classes < 2:
            raise ValueError(
                "Expected `num_classes` of at least 2, the background and one "
                f"more. Received: num_classes={self.num_classes}"
            )
        if self.nonlocal_block is not None and self.layers[2] < 2:
            raise ValueError(
                "A non-local block is before the last residual block of res4. "
                f"Expected two there at least. Received: layers={self.layers}"
            )

    def _check_thresholds(self) -> None:
        for name in (
            "score_threshold",
            "proposal_iou_threshold",
            "iou_threshold",
        ):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(
                    f"Expected `{name}` from 0 to 1. Received: {name}={value}"
                )

    def _check_groups(self) -> None:
        received = (
            f"groups={self.groups!r}, group_width={self.group_width!r}, "
            f"width={self.width!r}"
        )
        widths = (self.groups, self._width_per_group, self.width)
        if not all(map(is_positive_integer, widths)):
            raise ValueError(
                "Expected `groups`, `group_width` and `width` to be integers "
                f"of at least 1. Received: {received}"
            )
        if self.groups > 1 and self.group_width is None:
            raise ValueError(
                "Expected `group_width`, the channels of a group in res2, with "
                f"more than one group. Received: {received}"
            )
        if EXPANSION * self.width % self.inner_width:
            raise ValueError(
                f"Expected `groups * group_width` to divide {EXPANSION} * "
                "width, the channels that res2 ends with. "
                f"Received: {received}"
            )


@dataclasses.dataclass(frozen=True)
class TargetSamplingConfig:
    """Sampling of anchors and RoIs in training, with its thresholds and losses.

    Attributes:
        anchors_per_image: anchors sampled for the RPN's losses, at most.
        positive_anchor_fraction: share of positive ones among them, at most.
        anchor_iou_thresholds: (background, object): an anchor is background
            below the first IoU, and matches an object from the second on.
        straddling_anchors: train on anchors that cross the image's border,
            as torchvision and detectron2 do and Detectron does not.
        rois_per_image: RoIs sampled for the heads' losses, at most, from the
            proposals and the ground-truth boxes.
        positive_roi_fraction: share of positive ones among them, at most.
        roi_iou_threshold: IoU from which on a RoI matches an object.
        crowd_overlap_threshold: ignore negative boxes of which a larger share
            lies in a crowd region (COCO's `iscrowd`).
        rpn_smooth_l1_beta: difference from which on the smooth L1 loss of
            the RPN's boxes is linear.
        box_smooth_l1_beta: the same of the box head; 1 in Detectron.
        mask_sampling_ratio: samples of a ground-truth mask along each side of
            a cell of its target, at most.
        pre_nms_top_n: proposals of each pyramid level kept before NMS.
            Default: that of `DetectorConfig`. 2,000 in torchvision,
            detectron2 and Detectron, beside 1,000 at inference.
        post_nms_top_n: proposals of each image kept after NMS. Default: that
            of `DetectorConfig`. 2,000 in torchvision, 1,000 in detectron2;
            2,000 of all images of a GPU together in Detectron.

    Raises:
        ValueError: a number of proposals is not an integer of at least 1.
    """

    anchors_per_image: int = 256
    positive_anchor_fraction: float = 0.5
    anchor_iou_thresholds: tuple[float, float] = (0.3, 0.7)
    straddling_anchors: bool = True
    rois_per_image: int = 512
    positive_roi_fraction: float = 0.25
    roi_iou_threshold: float = 0.5
    crowd_overlap_threshold: float = 0.7
    rpn_smooth_l1_beta: float = SMOOTH_L1_BETA
    box_smooth_l1_beta: float = SMOOTH_L1_BETA
    mask_sampling_ratio: int = 8
    pre_nms_top_n: int | None = None
    post_nms_top_n: int | None = None

    @property
    def positive_anchors(self) -> int:
        """Positive anchors of an image, at most."""
        return int(self.positive_anchor_fraction * self.anchors_per_image)

    @property
    def positive_rois(self) -> int:
        """Positive RoIs of an image, at most."""
        return max(1, int(self.positive_roi_fraction * self.rois_per_image))

    def __post_init__(self) -> None:
        for name in ("pre_nms_top_n", "post_nms_top_n"):
            value = getattr(self, name)
            if value is not None and not is_positive_integer(value):
                raise ValueError(
                    f"Expected `{name}` to be an integer of at least 1, or "
                    "None for that of the detector. "
                    f"Received: {name}={value!r}"
                )


def _with_defaults(block: dict[str, Any] | None) -> dict[str, Any]:
    arguments = {**BLOCK, **(block or {})}
    pairwise = arguments.get("pairwise", "embedded_gaussian")
    if pairwise in ("embedded_gaussian", "gaussian"):
        arguments.setdefault("scale", "rsqrt")  # as in the authors' code
    return arguments
