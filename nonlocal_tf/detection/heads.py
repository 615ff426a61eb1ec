"""Heads on features of RoIs: boxes and classes, masks, keypoints.

References:
    He et al., Mask R-CNN, ICCV 2017, sections 3 and 5.
    Wang et al., Non-local Neural Networks, CVPR 2018, section 6.
"""

import keras
from keras import initializers, layers

from nonlocal_tf.detection.config import DetectorConfig
from nonlocal_tf.layers.nonlocal_block import NonLocalBlock
from nonlocal_tf.typing import Tensor

BOX_CELLS = 7
MASK_CELLS = 14
FLOAT32 = {"dtype": "float32"}  # of outputs under every policy


def build_box_head(config: DetectorConfig) -> keras.Model:
    """Build the head that predicts classes and box deltas of RoIs.

    Returns:
        A model of `(rois, 7, 7, channels)` to logits `(rois, classes)` and
        deltas `(rois, classes, 4)`, the background included.
    """
    shape = (BOX_CELLS, BOX_CELLS, config.fpn_channels)
    x = inputs = keras.Input(shape, name="rois")
    x = layers.Flatten()(x)
    for number in (1, 2):
        x = layers.Dense(
            config.box_units, activation="relu", name=f"box_fc{number}"
        )(x)
    logits, deltas = (
        layers.Dense(
            count,
            kernel_initializer=initializers.RandomNormal(0.0, stddev),
            name=f"box_{name}",
            **FLOAT32,
        )(x)
        for name, count, stddev in (
            ("logits", config.num_classes, 0.01),
            ("deltas", 4 * config.num_classes, 0.001),
        )
    )
    deltas = layers.Reshape((config.num_classes, 4), **FLOAT32)(deltas)
    return keras.Model(inputs, [logits, deltas], name="box_head")


def build_mask_head(config: DetectorConfig) -> keras.Model:
    """Build the head that predicts a mask of each class.

    Returns:
        A model of `(rois, 14, 14, channels)` to logits
        `(rois, 28, 28, classes)`, the background included.
    """
    shape = (MASK_CELLS, MASK_CELLS, config.fpn_channels)
    x = inputs = keras.Input(shape, name="rois")
    for number, channels in enumerate(config.mask_channels, start=1):
        x = _conv(x, channels, f"mask_conv{number}")
    x = layers.Conv2DTranspose(
        config.mask_deconv_channels,
        2,
        strides=2,
        activation="relu",
        kernel_initializer=_he_normal(),
        name="mask_deconv",
    )(x)
    x = layers.Conv2D(
        config.num_classes,
        1,
        kernel_initializer=_he_normal(),
        name="mask_logits",
        **FLOAT32,
    )(x)
    return keras.Model(inputs, x, name="mask_head")


def build_keypoint_head(config: DetectorConfig) -> keras.Model:
    """Build the head that predicts a heat map of each keypoint.

    Returns:
        A model of `(rois, 14, 14, channels)` to logits
        `(rois, 56, 56, keypoints)`.
    """
    shape = (MASK_CELLS, MASK_CELLS, config.fpn_channels)
    x = inputs = keras.Input(shape, name="rois")
    for number, channels in enumerate(config.keypoint_channels, start=1):
        x = _conv(x, channels, f"keypoint_conv{number}")
        if config.keypoint_nonlocal_block is not None and number % 2 == 0:
            name = f"keypoint_nonlocal{number}"
            x = NonLocalBlock(**config.head_block, name=name)(x)
    x = layers.Conv2DTranspose(
        config.num_keypoints,
        4,
        strides=2,
        padding="same",
        kernel_initializer=_he_normal(),
        name="keypoint_deconv",
        **FLOAT32,
    )(x)
    x = layers.UpSampling2D(
        2, interpolation="bilinear", name="keypoint_up", **FLOAT32
    )(x)
    return keras.Model(inputs, x, name="keypoint_head")


def _conv(x: Tensor, channels: int, name: str) -> Tensor:
    return layers.Conv2D(
        channels,
        3,
        padding="same",
        activation="relu",
        kernel_initializer=_he_normal(),
        name=name,
    )(x)


def _he_normal() -> initializers.Initializer:
    return initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
