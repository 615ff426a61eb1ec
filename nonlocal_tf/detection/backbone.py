"""Backbone of a detector: a ResNet or ResNeXt with a feature pyramid (FPN).

Its normalizations are frozen.

References:
    Lin et al., Feature Pyramid Networks, CVPR 2017, section 3.
    Wang et al., Non-local Neural Networks, CVPR 2018, section 6.
    Xie et al., Aggregated Residual Transformations, CVPR 2017, table 1.
"""

import dataclasses
from collections.abc import Sequence

import keras
from keras import layers

from nonlocal_tf.detection.config import DetectorConfig
from nonlocal_tf.models.backbones import STAGES, Stem
from nonlocal_tf.models.resnet_layers import (
    Norm,
    Style,
    stage_layers,
    stem_layers,
)
from nonlocal_tf.typing import Tensor

STEM = Stem(1, (1, 3, 3), (1, 2, 2), pool_padding=1)


def build_backbone(config: DetectorConfig) -> keras.Model:
    """Build the network from images to feature maps.

    Args:
        config: configuration of the detector.

    Returns:
        A model of normalized images `(batch, height, width, 3)`, whose sides
        are multiples of 32, to P2 to P6, each `(batch, h, w, channels)` with
        1/4 to 1/64 of a side.
    """
    inputs = keras.Input((None, None, 3), name="images")
    outputs = resnet_stages(inputs, config, "affine")
    return keras.Model(inputs, _fpn(outputs, config), name="pyramid")


def resnet_stages(
    images: Tensor, config: DetectorConfig, norm: Norm
) -> list[Tensor]:
    """Build the stages res2 to res5 and return their outputs.

    Args:
        images: a Keras input.
        config: configuration of the detector.
        norm: "affine", or "batch" for a network to be trained on images.
    """
    style = Style(
        rank=2,
        norm=norm,
        stride_on=config.stride_on,
        conv_groups=config.groups,
        expansion=config.expansion,
    )
    x = stem_layers(images, 1, STEM, config.width, style)
    outputs = []
    for index, (stage, count) in enumerate(
        zip(STAGES, config.layers, strict=True)
    ):
        has_block = stage == "res4" and config.nonlocal_block is not None
        x = stage_layers(
            x,
            (1,) * count,
            config.inner_width * 2**index,
            stride=1 if index == 0 else 2,
            nonlocal_after=(count - 2,) if has_block else (),
            nonlocal_block=config.block,
            style=style,
            name=stage,
        )
        outputs.append(x)
    return outputs


def build_classifier(config: DetectorConfig, num_classes: int) -> keras.Model:
    """Build the image classifier that a detector's backbone starts from.

    It has batch normalizations. Saved as `.keras` it is a file for
    `load_backbone_weights`.

    Args:
        config: configuration of the detector.
        num_classes: classes of images.

    Returns:
        A model of normalized images `(batch, height, width, 3)` to logits.
    """
    config = dataclasses.replace(config, nonlocal_block=None)
    inputs = keras.Input((None, None, 3), name="images")
    x = resnet_stages(inputs, config, "batch")[-1]
    x = layers.GlobalAveragePooling2D(name="pool5")(x)
    x = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, x, name="classifier")


def _fpn(outputs: Sequence[Tensor], config: DetectorConfig) -> list[Tensor]:
    """Build P2 to P6 from C2 to C5: coarser maps are added to finer ones."""
    maps: list = []
    coarser = None
    for level, x in reversed(list(enumerate(outputs, start=2))):
        x = layers.Conv2D(config.fpn_channels, 1, name=f"fpn_lateral{level}")(x)
        if coarser is not None:
            up = layers.UpSampling2D(2, name=f"fpn_up{level}")(coarser)
            x = layers.Add(name=f"fpn_add{level}")([x, up])
        coarser = x
        maps.insert(0, _conv(x, config.fpn_channels, f"fpn_output{level}"))
    return [*maps, layers.MaxPooling2D(1, 2, name="fpn_subsample")(maps[-1])]


def _conv(x: Tensor, channels: int, name: str) -> Tensor:
    return layers.Conv2D(channels, 3, padding="same", name=name)(x)
