"""What distinguishes one detector from another, as data."""

import dataclasses
from typing import Any

from nonlocal_tf.choices import is_positive_integer, unknown
from nonlocal_tf.detection import anchors
from nonlocal_tf.models.resnet3d import EXPANSION, STRIDES_ON, StrideOn
from nonlocal_tf.models.specs import DEPTHS

# Half the channels and a subsampling by 2 are the paper's, for all its blocks
# (section 3.3). The norm is our choice, as the paper's code for detection is
# not public: in a detector no statistics are kept, so it is a scale and a
# shift instead of the batch normalization of section 4.1.
BLOCK = {"norm": "affine", "subsample": 2}
# The trunk of Detectron's X-152-32x8d-FPN, as arguments of `DetectorConfig`.
X152_32X8D: dict[str, Any] = {
    "layers": (3, 8, 36, 3),
    "stride_on": "3x3",
    "groups": 32,
    "group_width": 8,
}


@dataclasses.dataclass(frozen=True)
class DetectorConfig:
    """A Mask R-CNN.

    Attributes:
        num_classes: with the background, which is class 0.
        layers: residual blocks of res2 to res5.
        width: channels of the first convolution; res2 to res5 end with 4, 8,
            16 and 32 times as many.
        stride_on: the convolution of a residual block that has the stride:
            "3x3" as in torchvision and ResNeXts, or "1x1" as in Detectron's
            ResNets.
        groups: of the 3x3 convolutions of residual blocks; more than one makes
            a ResNeXt.
        group_width: channels of a group in res2; in res3 to res5 2, 4 and 8
            times as many. Default: `width`, which goes with one group.
        nonlocal_block: arguments of the non-local block before the last
            residual block of res4, {} for the defaults `BLOCK`; None for no
            such block.
        fpn_channels: of P2 to P6, and of the first convolution on them.
        anchor_sizes_px: a level.
        aspect_ratios: of anchors, height to width.
        box_units: of the two hidden layers of the box head.
        mask_channels: of the convolutions of the mask head; () for no masks.
        mask_deconv_channels: of its transposed convolution.
        keypoints: how many there are of an object; 0 for none.
        keypoint_channels: of the convolutions of the keypoint head.
        keypoint_nonlocal_block: arguments of the non-local blocks behind every
            second of those, {} for the defaults `BLOCK`; None for no such
            blocks.
        aligned: of ROIAlign.
        samples: of ROIAlign, along each side of a bin.
        proposals_a_level: before NMS, at the most (`pre_nms_top_n`), unless
            a training has others: `TrainingConfig`.
        proposals: of an image, at the most (`post_nms_top_n`); the same.
        proposal_nms: overlap above which the worse of two goes.
        proposal_side_px: of its sides, at the least.
        least_score: of a detection.
        detection_nms: overlap above which the worse of two of a class goes.
        detections: of an image, at the most.
        detection_side_px: of its sides, at the least.
        masks: False for no masks whatever `mask_channels` are, as for data of
            boxes alone. Default: there are masks where there are channels.

    Raises:
        ValueError: there can be no such detector.

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
    keypoints: int = 0
    keypoint_channels: tuple[int, ...] = (512,) * 8
    keypoint_nonlocal_block: dict[str, Any] | None = None
    aligned: bool = False
    samples: int = 2
    proposals_a_level: int = 1000
    proposals: int = 1000
    proposal_nms: float = 0.7
    proposal_side_px: float = 1e-3
    least_score: float = 0.05
    detection_nms: float = 0.5
    detections: int = 100
    detection_side_px: float = 1e-2
    masks: bool | None = None

    @property
    def has_masks(self) -> bool:
        """Whether there is a mask head."""
        return bool(self.mask_channels) and self.masks is not False

    @property
    def inner_width(self) -> int:
        """Channels within the residual blocks of res2; doubled a stage."""
        each = self.width if self.group_width is None else self.group_width
        return self.groups * each

    @property
    def expansion(self) -> int:
        """How many times those a residual block ends with."""
        return EXPANSION * self.width // self.inner_width

    @property
    def block(self) -> dict[str, Any]:
        """All arguments of the block of res4."""
        return _with_defaults(self.nonlocal_block)

    @property
    def head_block(self) -> dict[str, Any]:
        """All arguments of the blocks of the keypoint head."""
        return _with_defaults(self.keypoint_nonlocal_block)

    def __post_init__(self) -> None:
        if self.stride_on not in STRIDES_ON:
            raise ValueError(unknown("stride_on", self.stride_on, STRIDES_ON))
        self._check_groups()
        self._check_shares()
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

    def _check_shares(self) -> None:
        for name in ("least_score", "proposal_nms", "detection_nms"):
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
        each = self.width if self.group_width is None else self.group_width
        if not all(map(is_positive_integer, (self.groups, each, self.width))):
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


def _with_defaults(block: dict[str, Any] | None) -> dict[str, Any]:
    arguments = {**BLOCK, **(block or {})}
    pairwise = arguments.get("pairwise", "embedded_gaussian")
    if pairwise in ("embedded_gaussian", "gaussian"):
        arguments.setdefault("scale", "rsqrt")  # as in the authors' code
    return arguments
