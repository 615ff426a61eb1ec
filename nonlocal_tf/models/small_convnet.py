"""Small plain convolutional networks for clips and images.

They train in minutes, for experiments and tests, and are registered as
`<backbone>[_nl<blocks>]_small` and `image_small`. Clip and image networks have
the same layer names, so `inflate` carries weights from one to the other.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import layers

from nonlocal_tf.choices import unknown
from nonlocal_tf.layers.attention_layout import Axes
from nonlocal_tf.layers.nonlocal_block import NonLocalBlock
from nonlocal_tf.layers.pairwise import Pairwise
from nonlocal_tf.layers.position_encoding import Position
from nonlocal_tf.models import backbones
from nonlocal_tf.models.backbones import ConvNetConfig
from nonlocal_tf.models.gradient_checkpointing import CheckpointedModel
from nonlocal_tf.models.input_shapes import InputKind, checked_shape
from nonlocal_tf.models.registry import add_model, register_model
from nonlocal_tf.typing import Tensor

BN_MOMENTUM = 0.9
BN_EPSILON = 1e-5
GLOBAL_POOLS = {
    ("average", 2): layers.GlobalAveragePooling2D,
    ("average", 3): layers.GlobalAveragePooling3D,
    ("max", 2): layers.GlobalMaxPooling2D,
    ("max", 3): layers.GlobalMaxPooling3D,
}


def register_convnets(
    backbone: str,
    config: ConvNetConfig,
    block_places: dict[int, tuple[int, ...]],
) -> None:
    """Register a backbone without blocks, and with every number of them."""
    for name, places in {
        f"{backbone}_small": (),
        **{f"{backbone}_nl{n}_small": p for n, p in block_places.items()},
    }.items():
        variant = dataclasses.replace(config, nonlocal_after=places)
        add_model(name, functools.partial(clip_convnet, variant, name=name))


def clip_convnet(
    config: ConvNetConfig,
    *,
    name: str = "convnet",
    num_classes: int = 10,
    clip_shape: tuple[int | None, ...] = (8, 32, 32, 3),
    head: Literal["classification", "multi_label"] = "classification",
    dropout: float = 0.0,
    bn_synchronized: bool = False,
    pairwise: str | dict | Pairwise | None = None,
    scale: float | Literal["rsqrt"] | None = None,
    axes: Axes | None = None,
    position: Position | None = None,
    nonlocal_places: str | None = None,
    nonlocal_block: dict[str, Any] | None = None,
    gradient_checkpointing: bool = False,
) -> keras.Model:
    """Build a small network on clips; `create_model` passes `config`.

    Args:
        config: the network.
        name: name of the model.
        num_classes: number of logits.
        clip_shape: `(time, height, width, channels)`; all but the channels may
            be None.
        head: "classification" or "multi_label"; the logits are the same.
        dropout: share of features dropped before the dense layer in training.
        bn_synchronized: compute batch statistics over all devices.
        pairwise: pairwise function of the non-local blocks, as in
            `NonLocalBlock`.
        scale: factor on the logits, as in `NonLocalBlock`.
        axes: axes along which the blocks attend: "spacetime", "space" or
            "time".
        position: what the blocks know of the positions of features: "sine" or
            "learned", as in `NonLocalBlock`. Default: nothing, as in the
            paper; without it C2D ignores the order of frames.
        nonlocal_places: the stage of a single block: "stage1", "stage2" or
            "stage3".
        nonlocal_block: other arguments of each `NonLocalBlock`. This and the
            five arguments before need a model with blocks.
        gradient_checkpointing: in backpropagation, compute the features of
            stages again instead of keeping them. Less memory for
            another forward pass; weights, outputs and gradients are the same.

    Returns:
        A functional model to logits `(batch, num_classes)`.

    Raises:
        ValueError: options of blocks for a network without, or unknown stage.
    """
    if head not in ("classification", "multi_label"):
        raise ValueError(
            unknown("head", head, ("classification", "multi_label"))
        )
    block = {
        "pairwise": pairwise,
        "scale": scale,
        "axes": axes,
        "position": position,
    }
    block = {key: value for key, value in block.items() if value is not None}
    if not config.nonlocal_after:
        options = {
            "nonlocal_block": nonlocal_block,
            **block,
            "nonlocal_places": nonlocal_places,
        }
        for key, value in options.items():
            if value:
                raise ValueError(
                    f"`{key}` goes with a model that has non-local blocks: "
                    f"list_models('*_nl*_small'). Received: {name}"
                )
    block |= nonlocal_block or {}
    if nonlocal_places is not None:
        stages = [f"stage{i + 1}" for i in range(len(config.widths))]
        if nonlocal_places not in stages:
            raise ValueError(unknown("stage", nonlocal_places, stages))
        stage = stages.index(nonlocal_places) + 1
        config = dataclasses.replace(config, nonlocal_after=(stage,))
    return convnet(
        config,
        name,
        num_classes,
        clip_shape,
        nonlocal_block=block,
        bn_synchronized=bn_synchronized,
        dropout=dropout,
        gradient_checkpointing=gradient_checkpointing,
    )


def convnet(
    config: ConvNetConfig,
    name: str,
    num_classes: int,
    input_shape: tuple[int | None, ...],
    kind: InputKind = "clips",
    nonlocal_block: dict[str, Any] | None = None,
    bn_synchronized: bool = False,
    dropout: float = 0.0,
    gradient_checkpointing: bool = False,
) -> keras.Model:
    """Build a network for clips or, without temporal sizes, for images.

    Args:
        config: the network.
        name: name of the model.
        num_classes: number of logits.
        input_shape: `(time, height, width, channels)` of clips,
            `(height, width, channels)` of images; all but the channels may be
            None.
        kind: "clips" or "images".
        nonlocal_block: arguments of each `NonLocalBlock`.
        bn_synchronized: compute batch statistics over all devices.
        dropout: share of features dropped before the dense layer in training.
        gradient_checkpointing: recompute stages in backpropagation.

    Returns:
        A functional model to logits `(batch, num_classes)`.
    """
    is_clip = kind == "clips"
    x = inputs = keras.Input(checked_shape(input_shape, kind), name=kind)
    block = {"bn_synchronized": bn_synchronized, **(nonlocal_block or {})}
    if block.get("norm", "batch") != "batch":
        del block["bn_synchronized"]
    for stage, kernels in enumerate(config.temporal_kernels, start=1):
        x = conv_stage(
            x,
            config.widths[stage - 1],
            kernels,
            f"stage{stage}",
            bn_synchronized,
            config.temporal_strides[stage - 1],
            config.spatial_strides[stage - 1],
            config.spatial_kernels[stage - 1],
        )
        if stage in config.nonlocal_after:
            x = NonLocalBlock(**block, name=f"stage{stage}_nonlocal")(x)
    filters, kernel_t = config.widths[-1], config.head_kernel
    x = conv_bn_relu(
        x,
        filters,
        kernel_t,
        1,
        "head_conv",
        bn_synchronized,
        kernel_px=config.head_kernel_px,
    )
    x = GLOBAL_POOLS[config.pool, 3 if is_clip else 2](name="pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    # float32 under every policy: inputs of the softmax and the loss.
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    model_class = CheckpointedModel if gradient_checkpointing else keras.Model
    return model_class(inputs, logits, name=name)


def conv_stage(
    x: Tensor,
    filters: int,
    temporal_kernels: Sequence[int],
    name: str,
    bn_synchronized: bool = False,
    stride_t: int = 1,
    stride_px: int = 2,
    kernel_px: int = 3,
) -> Tensor:
    """Apply convolutions of one width, of which the first has the strides."""
    for index, kernel_t in enumerate(temporal_kernels, start=1):
        stride = stride_px if index == 1 else 1
        x = conv_bn_relu(
            x,
            filters,
            kernel_t,
            stride,
            f"{name}_conv{index}",
            bn_synchronized,
            stride_t if index == 1 else 1,
            kernel_px,
        )
    return x


def conv_bn_relu(
    x: Tensor,
    filters: int,
    kernel_t: int,
    stride: int,
    name: str,
    bn_synchronized: bool = False,
    stride_t: int = 1,
    kernel_px: int = 3,
) -> Tensor:
    """Apply a convolution, by default 3 x 3, batch normalization and ReLU."""
    is_clip = len(x.shape) == 5
    conv = layers.Conv3D if is_clip else layers.Conv2D
    kernel = (kernel_px, kernel_px)
    x = conv(
        filters,
        kernel_size=(kernel_t, *kernel) if is_clip else kernel,
        strides=(stride_t, stride, stride) if is_clip else (stride, stride),
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    x = layers.BatchNormalization(
        momentum=BN_MOMENTUM,
        epsilon=BN_EPSILON,
        synchronized=bn_synchronized,
        name=f"{name}_bn",
    )(x)
    return layers.ReLU(name=f"{name}_relu")(x)


@register_model
def image_small(
    num_classes: int = 60, image_shape: tuple[int | None, ...] = (32, 32, 3)
) -> keras.Model:
    return convnet(
        backbones.C2D_SMALL, "image_small", num_classes, image_shape, "images"
    )


for _backbone, (_config, _places) in backbones.SMALL_BACKBONES.items():
    register_convnets(_backbone, _config, _places)
