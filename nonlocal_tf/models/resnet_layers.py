"""Stem, stages and residual blocks of the residual networks.

Layer names are an interface: `conv1`, `res3_block1_conv2`, the normalization
of a convolution with `_bn` appended, `res2_block0_shortcut`,
`res3_block1_nonlocal`.

Reference:
    Wang et al., Non-local Neural Networks, CVPR 2018, section 3.4, table 1.
    He et al., Deep Residual Learning, CVPR 2016.
    Xie et al., Aggregated Residual Transformations, CVPR 2017 (groups).
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, get_args

from keras import initializers, layers

from nonlocal_tf.choices import is_positive_integer, unknown
from nonlocal_tf.layers.convolution import Conv2D, Conv3D
from nonlocal_tf.layers.nonlocal_block import NonLocalBlock
from nonlocal_tf.layers.normalization import Affine, BatchNormalization
from nonlocal_tf.layers.pooling import MaxPool
from nonlocal_tf.models.backbones import INFLATIONS, Inflation, Stem
from nonlocal_tf.typing import Tensor

EXPANSION = 4
Norm = Literal["batch", "affine"]
NORMS = get_args(Norm)
StrideOn = Literal["3x3", "1x1"]
STRIDES_ON = get_args(StrideOn)


@dataclasses.dataclass(frozen=True)
class Style:
    """Options shared by all convolutions of a residual network.

    Attributes:
        rank: 3 for clips, 2 for images.
        norm: "batch", or "affine" for scales and shifts that are not trained.
        bn_synchronized: compute batch statistics over all devices.
        zero_init_residual: initialize residual blocks as their shortcuts.
            Default: with batch normalization only, as affine scales are not
            trained.
        inflation: convolution of a block that is inflated to three frames.
        stride_on: convolution of a block that has the stride.
        conv_groups: groups of the 3x3 convolutions, the cardinality of a
            ResNeXt.
        expansion: output channels of a block relative to those of its first
            two convolutions.

    Raises:
        ValueError: an argument is invalid, or does not go with another.
    """

    rank: int = 3
    norm: Norm = "batch"
    bn_synchronized: bool = False
    zero_init_residual: bool | None = None
    inflation: Inflation = "3x1x1"
    stride_on: StrideOn = "3x3"
    conv_groups: int = 1
    expansion: int = EXPANSION

    def __post_init__(self) -> None:
        for name, expected in (
            ("norm", NORMS),
            ("inflation", INFLATIONS),
            ("stride_on", STRIDES_ON),
        ):
            value = getattr(self, name)
            if value not in expected:
                raise ValueError(unknown(name, value, expected))
        for name in ("conv_groups", "expansion"):
            value = getattr(self, name)
            if not is_positive_integer(value):
                raise ValueError(
                    f"Expected `{name}` to be an integer of at least 1. "
                    f"Received: {name}={value!r}"
                )
        if self.norm == "affine":
            for name in ("bn_synchronized", "zero_init_residual"):
                if getattr(self, name):
                    raise ValueError(
                        f"`{name}` goes with norm='batch': affine scales and "
                        "shifts have no statistics and are not trained. "
                        "Received: "
                        f"norm='affine', {name}={getattr(self, name)!r}"
                    )

    @property
    def last_gamma(self) -> str:
        """Initializer of the last scale of a residual block."""
        zero_init = self.zero_init_residual
        if zero_init is None:
            zero_init = self.norm == "batch"
        return "zeros" if zero_init else "ones"


def stem_layers(
    x: Tensor, kernel_t: int, stem: Stem, width: int, style: Style
) -> Tensor:
    """Apply the 7x7 convolution with stride 2, and the pool."""
    x = conv_norm(
        x, width, (kernel_t, 7, 7), (stem.stride_t, 2, 2), style, "conv1"
    )
    x = layers.ReLU(name="conv1_relu")(x)
    pad = stem.pool_padding
    window = (stem.pool, stem.pool_strides, (0, pad, pad))
    return MaxPool(*(w[-style.rank :] for w in window), name="pool1")(x)


def stage_layers(
    x: Tensor,
    kernels_t: Sequence[int],
    width: int,
    stride: int,
    nonlocal_after: Collection[int],
    nonlocal_block: Mapping[str, Any],
    style: Style,
    name: str,
) -> Tensor:
    """Apply residual blocks of one width, and their non-local blocks."""
    for index, kernel_t in enumerate(kernels_t):
        block = f"{name}_block{index}"
        x = bottleneck(
            x, width, kernel_t, stride if index == 0 else 1, style, block
        )
        if index in nonlocal_after:
            x = NonLocalBlock(**nonlocal_block, name=f"{block}_nonlocal")(x)
    return x


def bottleneck(
    x: Tensor, width: int, kernel_t: int, stride: int, style: Style, name: str
) -> Tensor:
    """Apply a residual block of 1x1, 3x3 and 1x1 convolutions."""
    filters = style.expansion * width
    first_t, second_t = kernel_t, 1
    if style.inflation == "3x3x3":
        first_t, second_t = 1, kernel_t
    first_s, second_s = 1, stride
    if style.stride_on == "1x1":
        first_s, second_s = stride, 1
    shortcut = x
    if stride > 1 or x.shape[-1] != filters:
        shortcut = conv_norm(
            x,
            filters,
            (1, 1, 1),
            (1, stride, stride),
            style,
            f"{name}_shortcut",
        )
    for index, kernel, s, groups in (
        (1, (first_t, 1, 1), first_s, 1),
        (2, (second_t, 3, 3), second_s, style.conv_groups),
    ):
        conv = f"{name}_conv{index}"
        x = conv_norm(x, width, kernel, (1, s, s), style, conv, groups=groups)
        x = layers.ReLU(name=f"{conv}_relu")(x)
    conv, gamma = f"{name}_conv3", style.last_gamma
    x = conv_norm(x, filters, (1, 1, 1), (1, 1, 1), style, conv, gamma)
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu")(x)


def conv_norm(
    x: Tensor,
    filters: int,
    kernel: Sequence[int],
    strides: Sequence[int],
    style: Style,
    name: str,
    gamma: str = "ones",
    groups: int = 1,
) -> Tensor:
    """Apply a convolution without bias, and its normalization."""
    conv = Conv3D if style.rank == 3 else Conv2D
    x = conv(
        filters,
        kernel[-style.rank :],
        strides[-style.rank :],
        groups=groups,
        use_bias=False,
        kernel_initializer=initializers.VarianceScaling(
            2.0, "fan_out", "untruncated_normal"
        ),
        name=name,
    )(x)
    if style.norm == "affine":
        return Affine(
            gamma_initializer=gamma, frozen=True, name=f"{name}_affine"
        )(x)
    return BatchNormalization(
        gamma_initializer=gamma,
        synchronized=style.bn_synchronized,
        name=f"{name}_bn",
    )(x)
