"""Small plain convolutional networks, for clips and for single images.

They are the family in which the library can be tried in minutes. The clip
network and the image network of a spec have the same layer names, so
`inflate` carries weights from one to the other.
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
from nonlocal_tf.models.registry import add_model
from nonlocal_tf.models.shapes import checked_shape
from nonlocal_tf.models.specs import SMALL_PLACES, ConvNetSpec
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
    spec: ConvNetSpec,
    block_places: dict[int, tuple[int, ...]] = SMALL_PLACES,
) -> None:
    """Registers a backbone without blocks, and with every number of them."""
    _register(f"{backbone}_small", spec)
    for count, places in block_places.items():
        spec = dataclasses.replace(spec, nonlocal_after=places)
        _register(f"{backbone}_nl{count}_small", spec)


def _register(name: str, spec: ConvNetSpec) -> None:
    add_model(name, functools.partial(clip_convnet, spec, name=name))


def clip_convnet(
    spec: ConvNetSpec,
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
    nonlocal_places: str | None = None,
    nonlocal_block: dict[str, Any] | None = None,
) -> keras.Model:
    """A small network for clips; `create_model` gives all but the first.

    Args:
        spec: the network.
        name: of the model.
        num_classes: how many logits.
        clip_shape: `(time, height, width, channels)`; all but the channels may
            be None.
        head: "classification" or "multi_label"; the logits are the same.
        dropout: share of features dropped before the linear map, in training.
        bn_synchronized: batch statistics over all devices of a strategy.
        pairwise: function of the non-local blocks, as in `NonLocalBlock`.
        scale: factor on their logits, as there.
        axes: "spacetime", "space" or "time": along which they look.
        nonlocal_places: the one stage that has a block: "stage1", "stage2" or
            "stage3".
        nonlocal_block: other arguments for each `NonLocalBlock`. This and the
            four before it go with models that have blocks.

    Returns:
        A functional model to logits `(batch, num_classes)`.

    Raises:
        ValueError: the network has no blocks, or no such stage.
    """
    if head not in ("classification", "multi_label"):
        raise ValueError(
            unknown("head", head, ("classification", "multi_label"))
        )
    given = {"pairwise": pairwise, "scale": scale, "axes": axes}
    given = {key: value for key, value in given.items() if value is not None}
    block = {**given, **(nonlocal_block or {})}
    if not spec.nonlocal_after and (block or nonlocal_places):
        first = next(iter(given), "nonlocal_places")
        first = "nonlocal_block" if nonlocal_block else first
        raise ValueError(
            f"`{first}` goes with a model that has non-local blocks: "
            f"list_models('*_nl*_small'). Received: {name}"
        )
    if nonlocal_places is not None:
        stages = [f"stage{i + 1}" for i in range(len(spec.widths))]
        if nonlocal_places not in stages:
            raise ValueError(unknown("stage", nonlocal_places, stages))
        stage = stages.index(nonlocal_places) + 1
        spec = dataclasses.replace(spec, nonlocal_after=(stage,))
    return convnet(
        spec,
        name,
        num_classes,
        clip_shape,
        nonlocal_block=block,
        bn_synchronized=bn_synchronized,
        dropout=dropout,
    )


def convnet(
    spec: ConvNetSpec,
    name: str,
    num_classes: int,
    input_shape: tuple[int | None, ...],
    of: Literal["clips", "images"] = "clips",
    nonlocal_block: dict[str, Any] | None = None,
    bn_synchronized: bool = False,
    dropout: float = 0.0,
) -> keras.Model:
    """Builds a spec for clips or, leaving out everything about time, images.

    Args:
        spec: the network.
        name: of the model.
        num_classes: how many logits.
        input_shape: `(time, height, width, channels)` of clips,
            `(height, width, channels)` of images; all but the channels may be
            None.
        of: "clips" or "images".
        nonlocal_block: arguments for each `NonLocalBlock`.
        bn_synchronized: batch statistics over all devices of a strategy.
        dropout: share of features dropped before the linear map, in training.

    Returns:
        A functional model to logits `(batch, num_classes)`.
    """
    is_clip = of == "clips"
    x = inputs = keras.Input(checked_shape(input_shape, of), name=of)
    block = {"bn_synchronized": bn_synchronized, **(nonlocal_block or {})}
    if block.get("norm", "batch") != "batch":
        del block["bn_synchronized"]
    for stage, kernels in enumerate(spec.temporal_kernels, start=1):
        x = conv_stage(
            x,
            spec.widths[stage - 1],
            kernels,
            f"stage{stage}",
            bn_synchronized,
            spec.temporal_strides[stage - 1],
        )
        if stage in spec.nonlocal_after:
            x = NonLocalBlock(**block, name=f"stage{stage}_nonlocal")(x)
    x = conv_bn_relu(
        x, spec.widths[-1], spec.head_kernel, 1, "head_conv", bn_synchronized
    )
    x = GLOBAL_POOLS[spec.pool, 3 if is_clip else 2](name="pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    # float32 under every policy: the loss and the softmax follow.
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


def conv_stage(
    x: Tensor,
    filters: int,
    temporal_kernels: Sequence[int],
    name: str,
    bn_synchronized: bool = False,
    stride_t: int = 1,
) -> Tensor:
    """Convolutions of one width; the first halves height and width."""
    for index, kernel_t in enumerate(temporal_kernels, start=1):
        stride = 2 if index == 1 else 1
        x = conv_bn_relu(
            x,
            filters,
            kernel_t,
            stride,
            f"{name}_conv{index}",
            bn_synchronized,
            stride_t if index == 1 else 1,
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
) -> Tensor:
    """Convolution (kernel_t x) 3 x 3, batch normalisation, ReLU."""
    is_clip = len(x.shape) == 5
    conv = layers.Conv3D if is_clip else layers.Conv2D
    x = conv(
        filters,
        kernel_size=(kernel_t, 3, 3) if is_clip else (3, 3),
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
