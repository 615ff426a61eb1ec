"""C2D and I3D, the paper's residual networks on clips.

They are registered as `<backbone>[_nl<blocks>]_r<depth>` for every row of the
tables in `backbones.py`.
"""

import functools
from collections.abc import Mapping
from typing import Any, Literal

import keras
from keras import initializers

from nonlocal_tf.choices import is_positive_integer, unknown
from nonlocal_tf.layers.attention_layout import Axes
from nonlocal_tf.layers.pairwise import Pairwise
from nonlocal_tf.layers.position_encoding import Position
from nonlocal_tf.models import backbones
from nonlocal_tf.models.input_shapes import checked_shape
from nonlocal_tf.models.registry import add_model
from nonlocal_tf.models.resnet import resnet
from nonlocal_tf.models.resnet_head import Head, HeadKind, Outputs
from nonlocal_tf.models.resnet_layers import Norm, StrideOn, Style

CROP_PX = 224
CHANNELS = 3
# Arguments of `NonLocalBlock` that the network has arguments for.
NETWORK_ARGUMENTS = {
    **{
        name: name
        for name in ("pairwise", "scale", "axes", "position", "bn_synchronized")
    },
    "temporal_group_size": "nonlocal_groups",
}


def register_resnets(backbone: str) -> None:
    """Register a backbone in every depth, with every number of blocks."""
    for depth in backbones.DEPTHS:
        variants: list[tuple[str, backbones.Places]] = [
            (f"{backbone}_r{depth}", {})
        ]
        variants += [
            (f"{backbone}_nl{count}_r{depth}", places)
            for (count, of_depth), places in backbones.PLACES.items()
            if of_depth == depth
        ]
        for name, places in variants:
            config = backbones.resnet_config(backbone, depth, places)
            add_model(name, functools.partial(video_resnet, config, name=name))


def video_resnet(
    config: backbones.ResNetConfig,
    *,
    name: str = "resnet",
    num_classes: int = 400,
    clip_shape: tuple[int | None, ...] | None = None,
    sampling: str = "32x2",
    stem: str | None = None,
    inflation: backbones.Inflation | None = None,
    stride_on: StrideOn = "3x3",
    pairwise: str | dict | Pairwise | None = None,
    scale: float | Literal["rsqrt"] | None = None,
    axes: Axes | None = None,
    position: Position | None = None,
    nonlocal_places: str | backbones.Places | None = None,
    nonlocal_groups: dict[str, int] | None = None,
    nonlocal_block: dict[str, Any] | None = None,
    head: HeadKind = "classification",
    outputs: Outputs = "logits",
    crop_px: int = CROP_PX,
    dropout: float = 0.5,
    norm: Norm = "batch",
    bn_synchronized: bool = False,
    zero_init_residual: bool | None = None,
    width: int = 64,
    gradient_checkpointing: bool = False,
) -> keras.Model:
    """Build C2D or I3D; `create_model` passes all arguments but the first.

    Args:
        config: stages, temporal kernels and places of non-local blocks.
        name: name of the model.
        num_classes: number of logits.
        clip_shape: `(time, height, width, channels)` of a clip; all but the
            channels may be None. Default: the frames of `sampling` at 224 x
            224 x 3.
        sampling: "8x8", "32x2", "32x4" or "128x1": frames of a clip times
            their distance in the video. It sets the defaults of `clip_shape`,
            `stem` and `nonlocal_groups`.
        stem: "official", "official_strided", "slowfast", "mmaction2" or
            "slowfast_nopool", which has no pool over time behind res2 either.
            Default: the authors' for this sampling.
        inflation: for I3D, "3x1x1" (default) or "3x3x3": the convolution of
            every second block that is inflated to three frames.
        stride_on: the convolution of a block that has the stride: "3x3", or
            "1x1" to inflate Keras' ImageNet weights.
        pairwise: pairwise function of the non-local blocks, as in
            `NonLocalBlock`. Default: "embedded_gaussian".
        scale: factor on the logits of the Gaussian functions. Default:
            "rsqrt" for the embedded one, as in the authors' code, and 1, the
            paper's formula, for the Gaussian.
        axes: axes along which the blocks attend: "spacetime" (default),
            "space" or "time".
        position: what the blocks know of the positions of features: "sine" or
            "learned", as in `NonLocalBlock`. Default: nothing, as in the
            paper; without it C2D ignores the order of frames.
        nonlocal_places: places of the blocks instead of the paper's: "res2" to
            "res5" for one block before the stage's last residual block (table
            2b), or `{"res3": (1, 3)}` for blocks after these residual blocks,
            counted from 0.
        nonlocal_groups: `temporal_group_size` of the blocks by stage, such as
            `{"res3": 4}`. Default: 4 at res3 for the long clips (32x4, 128x1),
            as in the authors' code; `{}` for none.
        nonlocal_block: other arguments of each `NonLocalBlock`. This and the
            six arguments before need a model with blocks.
        head: "classification" (global average pooling and a dense layer; any
            size), "fully_convolutional" (average pooling over windows of the
            training crop's size, and the dense layer at each; for larger
            frames), "multi_label" (as classification, with a sigmoid per
            class) or "none".
        outputs: "logits" or "probabilities". Fully convolutional logits are a
            map, `(batch, t, h, w, num_classes)`; probabilities are its softmax
            averaged over the positions.
        crop_px: side of the training crop, for the window of the fully
            convolutional head: 224 pixels give 7 positions.
        dropout: share of features dropped before the dense layer in training.
        norm: "batch" normalization, or "affine": scales and shifts that are
            not trained, and no normalization in the non-local blocks, as in
            the authors' models for long clips.
        bn_synchronized: compute batch statistics over all devices.
        zero_init_residual: initialize residual blocks as their shortcuts.
            Default: with batch normalization only.
        width: channels of the first convolution; all others scale with it.
        gradient_checkpointing: in backpropagation, compute the features of
            residual blocks again instead of keeping them. Less memory for
            another forward pass; weights, outputs and gradients are the same.

    Returns:
        A model on clips `(batch, time, height, width, channels)`.

    Raises:
        ValueError: an argument is invalid, or does not go with another.
    """
    if sampling not in backbones.SAMPLINGS:
        raise ValueError(unknown("sampling", sampling, backbones.SAMPLINGS))
    defaults = backbones.SAMPLINGS[sampling]
    stem = defaults.stem if stem is None else stem
    if stem not in backbones.STEMS:
        raise ValueError(unknown("stem", stem, backbones.STEMS))
    if inflation is not None and not config.is_inflated:
        raise ValueError(
            "C2D has no temporal kernels: `inflation` goes with I3D. "
            f"Received: inflation={inflation!r}"
        )
    block_options = {
        "pairwise": pairwise,
        "scale": scale,
        "axes": axes,
        "position": position,
        "nonlocal_places": nonlocal_places,
        "nonlocal_groups": nonlocal_groups,
        "nonlocal_block": nonlocal_block,
    }
    if not config.has_blocks:
        _check_no_block_options(name, block_options)
    if isinstance(nonlocal_places, str):
        config = config.with_one_block(nonlocal_places)
    elif nonlocal_places is not None:
        if not isinstance(nonlocal_places, dict):
            raise ValueError(
                "Expected `nonlocal_places` to be a stage or places by stage, "
                f"such as {{'res3': (1, 3)}}. Received: {nonlocal_places!r}"
            )
        config = config.with_blocks(nonlocal_places)
        if not config.has_blocks:
            raise ValueError(
                "Expected `nonlocal_places` to have at least one place; for "
                "none, choose the model without blocks. "
                f"Received: {nonlocal_places!r}"
            )
    if nonlocal_groups is None:
        is_official = stem.startswith("official")
        is_official = is_official and axes in (None, "spacetime")
        nonlocal_groups = dict(defaults.groups) if is_official else {}
    else:
        _check_groups(nonlocal_groups, config)
    if clip_shape is None:
        clip_shape = (defaults.frames, CROP_PX, CROP_PX, CHANNELS)
    shape = checked_shape(clip_shape, "clips")
    block = _block_arguments(
        pairwise, scale, axes, position, norm, nonlocal_block
    )
    if block["norm"] == "batch":
        block["bn_synchronized"] = bn_synchronized
    return resnet(
        config,
        name,
        num_classes,
        shape,
        backbones.STEMS[stem],
        Style(
            norm=norm,
            bn_synchronized=bn_synchronized,
            zero_init_residual=zero_init_residual,
            inflation=inflation or "3x1x1",
            stride_on=stride_on,
        ),
        Head(head, outputs, dropout, shape[0] or defaults.frames, crop_px),
        width,
        block,
        nonlocal_groups,
        gradient_checkpointing,
    )


def _check_no_block_options(name: str, options: Mapping[str, Any]) -> None:
    for key, value in options.items():
        if value not in (None, {}):
            raise ValueError(
                f"`{key}` goes with a model that has non-local blocks: "
                f"list_models('*_nl*'). Received: {key}={value!r} for {name}"
            )


def _check_groups(
    groups: dict[str, int], config: backbones.ResNetConfig
) -> None:
    places = zip(backbones.STAGES, config.nonlocal_after, strict=True)
    with_blocks = [stage for stage, after in places if after]
    for stage, size in groups.items():
        if stage not in with_blocks:
            raise ValueError(
                unknown("stage with non-local blocks", stage, with_blocks)
            )
        if not is_positive_integer(size):
            raise ValueError(
                "Expected `nonlocal_groups` to have an integer of at least 1 "
                f"per stage. Received: {groups!r}"
            )


def _block_arguments(
    pairwise: str | dict | Pairwise | None,
    scale: float | Literal["rsqrt"] | None,
    axes: Axes | None,
    position: Position | None,
    norm: Norm,
    options: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the arguments of all non-local blocks of a network."""
    options = dict(options or {})
    if "bn_epsilon" in options:
        raise ValueError(
            "Normalizations of these networks have an epsilon of 1e-5, that of "
            f"all checkpoints. Received: nonlocal_block={options!r}"
        )
    for key, argument in NETWORK_ARGUMENTS.items():
        if key in options:
            raise ValueError(
                f"Expected {key!r} of `nonlocal_block` as the argument "
                f"`{argument}`. Received: nonlocal_block={options!r}"
            )
    pairwise = "embedded_gaussian" if pairwise is None else pairwise
    if scale is None and pairwise == "embedded_gaussian":
        scale = "rsqrt"
    axes = "spacetime" if axes is None else axes
    return {
        "pairwise": pairwise,
        "scale": scale,
        "axes": axes,
        "position": position,
        # axes="time" allows no pooling of space.
        "subsample": None if axes == "time" else (1, 2, 2),
        "norm": "batch" if norm == "batch" else "none",
        "kernel_initializer": initializers.RandomNormal(0.0, 0.01),
        **options,
    }


for _backbone in backbones.BACKBONES:
    register_resnets(_backbone)
