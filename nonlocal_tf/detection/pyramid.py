"""The trunk: a ResNet or ResNeXt, and a feature pyramid.

Normalisations are frozen.

References:
    Lin et al., Feature Pyramid Networks, CVPR 2017, section 3.
    Wang et al., Non-local Neural Networks, CVPR 2018, section 6.
    Xie et al., Aggregated Residual Transformations, CVPR 2017, table 1.
"""

from collections.abc import Sequence

import keras
from keras import layers

from nonlocal_tf.detection.config import DetectorConfig
from nonlocal_tf.models.resnet3d import Norm, Style, stage_layers, stem_layers
from nonlocal_tf.models.specs import STAGES, Stem
from nonlocal_tf.typing import Tensor

STEM = Stem(1, (1, 3, 3), (1, 2, 2), pool_padding=1)
LEVELS = (2, 3, 4, 5, 6)


def build_pyramid(config: DetectorConfig) -> keras.Model:
    """From images to feature maps.

    Args:
        config: of the detector.

    Returns:
        A model of normalised images `(batch, height, width, 3)`, whose sides
        are multiples of 32, to P2 to P6, each `(batch, h, w, channels)` with
        1/4 to 1/64 of a side.
    """
    inputs = keras.Input((None, None, 3), name="images")
    found = stages(inputs, config, "affine")
    return keras.Model(inputs, _merged(found, config), name="pyramid")


def stages(images: Tensor, config: DetectorConfig, norm: Norm) -> list[Tensor]:
    """The outputs of res2 to res5.

    Args:
        images: an input of Keras.
        config: of the detector.
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
    found = []
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
        found.append(x)
    return found


def _merged(outputs: Sequence[Tensor], config: DetectorConfig) -> list[Tensor]:
    """P2 to P6 from C2 to C5: the coarser is added to the finer."""
    maps: list = []
    above = None
    for level, x in reversed(list(enumerate(outputs, start=2))):
        x = layers.Conv2D(config.fpn_channels, 1, name=f"fpn_lateral{level}")(x)
        if above is not None:
            up = layers.UpSampling2D(2, name=f"fpn_up{level}")(above)
            x = layers.Add(name=f"fpn_add{level}")([x, up])
        above = x
        maps.insert(0, _conv(x, config.fpn_channels, f"fpn_output{level}"))
    return [*maps, layers.MaxPooling2D(1, 2, name="fpn_subsample")(maps[-1])]


def _conv(x: Tensor, channels: int, name: str) -> Tensor:
    return layers.Conv2D(channels, 3, padding="same", name=name)(x)
