"""Builder of residual networks for clips and images, with non-local blocks.

`video_resnet` and `image_resnet` call it with the paper's options. An image
network has the layer names of the clip network, so weights carry over.

Reference:
    Wang et al., Non-local Neural Networks, CVPR 2018, section 3.4, table 1.
"""

from typing import Any

import keras

from nonlocal_tf.choices import is_positive_integer
from nonlocal_tf.layers.pooling import MaxPool
from nonlocal_tf.models.backbones import STAGES, ResNetConfig, Stem
from nonlocal_tf.models.gradient_checkpointing import CheckpointedModel
from nonlocal_tf.models.input_shapes import InputKind, checked_shape
from nonlocal_tf.models.resnet_head import Head, head_layers
from nonlocal_tf.models.resnet_layers import Style, stage_layers, stem_layers
from nonlocal_tf.ops import output_sizes


def resnet(
    config: ResNetConfig,
    name: str,
    num_classes: int,
    input_shape: tuple[int | None, ...],
    stem: Stem,
    style: Style,
    head: Head,
    width: int = 64,
    nonlocal_block: dict[str, Any] | None = None,
    groups: dict[str, int] | None = None,
    gradient_checkpointing: bool = False,
) -> keras.Model:
    """Build a residual network for clips or images.

    Args:
        config: stages, temporal kernels and places of non-local blocks.
        name: name of the model.
        num_classes: number of logits.
        input_shape: `(time, height, width, channels)` of clips,
            `(height, width, channels)` of images; all but the channels may be
            None.
        stem: strides of the first convolution, and the pools around res2.
        style: options shared by all convolutions.
        head: classification head.
        width: channels of the first convolution; all others scale with it.
        nonlocal_block: arguments of each `NonLocalBlock`.
        groups: `temporal_group_size` of the non-local blocks, by stage.
        gradient_checkpointing: recompute residual blocks in backpropagation.

    Returns:
        A functional model.
    """
    if head.kind != "none" and not is_positive_integer(num_classes):
        raise ValueError(
            "Expected `num_classes` to be an integer of at least 1, or "
            f"head='none'. Received: num_classes={num_classes!r}"
        )
    kind: InputKind = "clips" if style.rank == 3 else "images"
    shape = checked_shape(
        input_shape, kind, min_sizes=min_input_sizes(stem, style.rank)
    )
    x = inputs = keras.Input(shape, name=kind)
    x = stem_layers(x, config.stem_kernel_t, stem, width, style)
    for index, stage in enumerate(STAGES):
        block = dict(nonlocal_block or {})
        if groups and stage in groups:
            block["temporal_group_size"] = groups[stage]
        x = stage_layers(
            x,
            config.kernels_t[index],
            width * 2**index,
            stride=1 if index == 0 else 2,
            nonlocal_after=config.nonlocal_after[index],
            nonlocal_block=block,
            style=style,
            name=stage,
        )
        if stage == "res2" and style.rank == 3 and stem.pool2_t > 1:
            x = MaxPool((stem.pool2_t, 1, 1), name="pool2")(x)
    window: tuple[int | None, ...] = ()
    if head.kind == "fully_convolutional":
        clip = (head.frames, head.crop_px, head.crop_px)
        window = feature_map_sizes(
            clip[-style.rank :], config.stem_kernel_t, stem
        )
    x = head_layers(x, num_classes, head, window)
    model_class = CheckpointedModel if gradient_checkpointing else keras.Model
    return model_class(inputs, x, name=name)


def min_input_sizes(stem: Stem, rank: int) -> tuple[int, ...]:
    """Compute the smallest input with a non-empty last feature map."""
    frames = stem.stride_t * stem.pool_strides[0] * stem.pool2_t
    # A convolution with stride 2, then an unpadded pool of 3.
    side = 1 if stem.pool_padding else 5
    return (frames, side, side)[-rank:]


def feature_map_sizes(
    sizes: tuple[int | None, ...], kernel_t: int, stem: Stem
) -> tuple[int | None, ...]:
    """Compute the sizes of the last feature map; None where unknown.

    Args:
        sizes: time, height and width of a clip; height and width of an image.
        kernel_t: temporal size of the first kernel.
        stem: strides of the first convolution, and the pools around res2.

    Raises:
        ValueError: the input is too small.
    """
    pad = stem.pool_padding
    pool2 = (stem.pool2_t, 1, 1)
    half: tuple[tuple[int, ...], ...] = ((1, 3, 3), (1, 2, 2), (0, 1, 1))
    for window, strides, padding in (
        ((kernel_t, 7, 7), (stem.stride_t, 2, 2), (kernel_t // 2, 3, 3)),
        (stem.pool, stem.pool_strides, (0, pad, pad)),
        (pool2, pool2, (0, 0, 0)),
        *(half for _ in STAGES[1:]),
    ):
        axes = slice(-len(sizes), None)
        sizes = output_sizes(sizes, window[axes], strides[axes], padding[axes])
    return sizes
