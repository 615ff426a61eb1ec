"""Residual networks for clips: C2D, I3D and their non-local forms.

One builder makes all of them from a `ResNetSpec`; for images it leaves out
everything about time, with the same layer names, so that weights carry over.
The names are an interface: `conv1`, `res3_block1_conv2`, with `_bn` behind it
that of its normalisation, `res2_block0_shortcut`, `res3_block1_nonlocal`,
`logits`.

Reference:
    Wang et al., Non-local Neural Networks, CVPR 2018, section 3.4, table 1.
    He et al., Deep Residual Learning, CVPR 2016.
    Xie et al., Aggregated Residual Transformations, CVPR 2017 (groups).
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, get_args

import keras
from keras import initializers, layers

from nonlocal_tf.choices import is_positive_integer, unknown
from nonlocal_tf.layers.convolution import Conv2D, Conv3D
from nonlocal_tf.layers.nonlocal_block import NonLocalBlock
from nonlocal_tf.layers.normalization import Affine, BatchNormalization
from nonlocal_tf.layers.pooling import MaxPool
from nonlocal_tf.models.shapes import checked_shape
from nonlocal_tf.models.specs import (
    INFLATIONS,
    STAGES,
    Inflation,
    ResNetSpec,
    Stem,
)
from nonlocal_tf.ops import output_sizes
from nonlocal_tf.typing import Tensor

EXPANSION = 4
POOL2 = (2, 1, 1)
Norm = Literal["batch", "affine"]
NORMS = get_args(Norm)
HeadKind = Literal[
    "classification", "fully_convolutional", "multi_label", "none"
]
HEADS = get_args(HeadKind)
Outputs = Literal["logits", "probabilities"]
OUTPUTS = get_args(Outputs)
StrideOn = Literal["3x3", "1x1"]
STRIDES_ON = get_args(StrideOn)


@dataclasses.dataclass(frozen=True)
class Style:
    """What all convolutions of a network have in common.

    Attributes:
        rank: 3 for clips, 2 for images.
        norm: "batch", or "affine" for a scale and a shift that stay as loaded.
        bn_synchronized: batch statistics over all devices.
        zero_init_residual: a residual block starts as its shortcut. Default:
            with batch normalisation; what an affine one starts with stays.
        inflation: the convolution of a block that sees three frames.
        stride_on: the convolution of a block that has the stride.
        conv_groups: of the 3x3 convolution of a block, the cardinality of a
            ResNeXt.
        expansion: a block's output has so many times as many channels as its
            first two convolutions.

    Raises:
        ValueError: an argument is not one of those above, or does not go with
            another.
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
                        f"`{name}` goes with norm='batch': scales and shifts "
                        "have no statistics and stay as they start. Received: "
                        f"norm='affine', {name}={getattr(self, name)!r}"
                    )

    @property
    def last_gamma(self) -> str:
        """What the last scale of a residual block starts with."""
        default = self.norm == "batch"
        chosen = self.zero_init_residual
        return "zeros" if (default if chosen is None else chosen) else "ones"


@dataclasses.dataclass(frozen=True)
class Head:
    """What follows the last feature map.

    Attributes:
        kind: "classification" (average over all positions, then one linear
            map), "fully_convolutional" (average over windows of the training
            size, the linear map at each), "multi_label" (as classification,
            with a sigmoid a class) or "none" (the feature map itself).
        outputs: "logits" or "probabilities".
        dropout: share of the features dropped in training.
        frames: of a training clip; the fully convolutional head averages
            windows of the size of its last feature map.
        crop_px: height and width of a training clip.
    """

    kind: HeadKind = "classification"
    outputs: Outputs = "logits"
    dropout: float = 0.5
    frames: int = 1
    crop_px: int = 224

    def __post_init__(self) -> None:
        for name, value, expected in (
            ("head", self.kind, HEADS),
            ("outputs", self.outputs, OUTPUTS),
        ):
            if value not in expected:
                raise ValueError(unknown(name, value, expected))
        if self.kind == "none" and self.outputs != "logits":
            raise ValueError(
                "Without a head there are no probabilities. Received: "
                f"head='none', outputs={self.outputs!r}"
            )
        if not is_positive_integer(self.crop_px):
            raise ValueError(
                "Expected `crop_px` to be an integer of at least 1. "
                f"Received: crop_px={self.crop_px!r}"
            )


def resnet(
    spec: ResNetSpec,
    name: str,
    num_classes: int,
    input_shape: tuple[int | None, ...],
    stem: Stem,
    style: Style,
    head: Head,
    width: int = 64,
    nonlocal_block: dict[str, Any] | None = None,
    groups: dict[str, int] | None = None,
) -> keras.Model:
    """Builds a spec for clips or images.

    Args:
        spec: the network.
        name: of the model.
        num_classes: how many logits.
        input_shape: `(time, height, width, channels)` of clips,
            `(height, width, channels)` of images; all but the channels may be
            None.
        stem: strides and pool before res2.
        style: what all convolutions have in common.
        head: what follows the last feature map.
        width: channels of the first convolution; all others follow.
        nonlocal_block: arguments for each `NonLocalBlock`.
        groups: frames a group in which non-local blocks look, a stage.

    Returns:
        A functional model.
    """
    if head.kind != "none" and not is_positive_integer(num_classes):
        raise ValueError(
            "Expected `num_classes` to be an integer of at least 1, or "
            f"head='none'. Received: num_classes={num_classes!r}"
        )
    of: Literal["clips", "images"] = "clips" if style.rank == 3 else "images"
    shape = checked_shape(input_shape, of, smallest=smallest(stem, style))
    x = inputs = keras.Input(shape, name=of)
    x = stem_layers(x, spec.stem_kernel_t, stem, width, style)
    for index, stage in enumerate(STAGES):
        block = dict(nonlocal_block or {})
        if groups and stage in groups:
            block["temporal_group_size"] = groups[stage]
        x = stage_layers(
            x,
            spec.kernels_t[index],
            width * 2**index,
            stride=1 if index == 0 else 2,
            nonlocal_after=spec.nonlocal_after[index],
            nonlocal_block=block,
            style=style,
            name=stage,
        )
        if stage == "res2" and style.rank == 3:
            x = MaxPool(POOL2, name="pool2")(x)
    window: tuple[int | None, ...] = ()
    if head.kind == "fully_convolutional":
        clip = (head.frames, head.crop_px, head.crop_px)
        window = last_sizes(clip[-style.rank :], spec.stem_kernel_t, stem)
    x = head_layers(x, num_classes, head, window)
    return keras.Model(inputs, x, name=name)


def smallest(stem: Stem, style: Style) -> tuple[int, ...]:
    """The smallest (time, height, width) that leaves something at the end."""
    frames = stem.stride_t * stem.pool_strides[0] * POOL2[0]
    # A convolution with stride 2, and a box of 3 of what that leaves.
    side = 1 if stem.pool_padding else 5
    return (frames, side, side)[-style.rank :]


def last_sizes(
    sizes: tuple[int | None, ...], kernel_t: int, stem: Stem
) -> tuple[int | None, ...]:
    """Time, height and width of the last feature map; None where unknown.

    Args:
        sizes: time, height and width of a clip, or without time of an image.
        kernel_t: frames of the first kernel.
        stem: what comes before res2.

    Raises:
        ValueError: nothing is left.
    """
    pad = stem.pool_padding
    half: tuple[tuple[int, ...], ...] = ((1, 3, 3), (1, 2, 2), (0, 1, 1))
    for window, strides, padding in (
        ((kernel_t, 7, 7), (stem.stride_t, 2, 2), (kernel_t // 2, 3, 3)),
        (stem.pool, stem.pool_strides, (0, pad, pad)),
        (POOL2, POOL2, (0, 0, 0)),
        *(half for _ in STAGES[1:]),
    ):
        axes = slice(-len(sizes), None)
        sizes = output_sizes(sizes, window[axes], strides[axes], padding[axes])
    return sizes


def stem_layers(
    x: Tensor, kernel_t: int, stem: Stem, width: int, style: Style
) -> Tensor:
    """The 7x7 convolution with stride 2, and the pool."""
    x = conv_norm(
        x, width, (kernel_t, 7, 7), (stem.stride_t, 2, 2), style, "conv1"
    )
    x = layers.ReLU(name="conv1_relu")(x)
    pad = stem.pool_padding
    boxes = (stem.pool, stem.pool_strides, (0, pad, pad))
    return MaxPool(*(b[-style.rank :] for b in boxes), name="pool1")(x)


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
    """Residual blocks of one width, and the non-local blocks among them."""
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
    """1x1x1, 3x3 and 1x1x1 convolutions beside a shortcut."""
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
    """A convolution without bias, and its normalisation."""
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


def head_layers(
    x: Tensor, num_classes: int, head: Head, window: Sequence[int | None] = ()
) -> Tensor:
    """From the last feature map to logits or probabilities, in float32.

    `window` is that of the fully convolutional average.
    """
    if head.kind == "none":
        return x
    rank = len(x.shape) - 2
    kinds = {
        2: (layers.AveragePooling2D, layers.GlobalAveragePooling2D),
        3: (layers.AveragePooling3D, layers.GlobalAveragePooling3D),
    }
    windowed, everywhere = kinds[rank]
    # float32 under every policy: these are sums, and the loss follows.
    same = {"dtype": "float32"}
    if head.kind == "fully_convolutional":
        sizes = x.shape[1:-1]
        if any(
            size is not None and size < by
            for size, by in zip(sizes, window, strict=True)
        ):
            raise ValueError(
                "A fully convolutional head averages windows of the size of "
                f"the training's last feature map, {window}. Expected a clip "
                "at least as large as a training clip; for smaller ones use "
                f"head='classification'. Received: a last map of {sizes}"
            )
        x = windowed(window, strides=1, name="pool5", **same)(x)
    else:
        x = everywhere(name="pool5", **same)(x)
    x = layers.Dropout(head.dropout, name="dropout", **same)(x)
    x = layers.Dense(
        num_classes,
        kernel_initializer=initializers.RandomNormal(0.0, 0.01),
        name="logits",
        **same,
    )(x)
    if head.outputs == "logits":
        return x
    activation = "sigmoid" if head.kind == "multi_label" else "softmax"
    x = layers.Activation(activation, name="probabilities", **same)(x)
    if head.kind == "fully_convolutional":
        x = everywhere(name="mean_probabilities", **same)(x)
    return x
