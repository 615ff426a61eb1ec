"""The networks of the paper, from the tables in `specs.py`.

`register_resnets` names them `<backbone>[_nl<blocks>]_r<depth>`.
"""

import functools
from collections.abc import Mapping
from typing import Any, Literal

import keras
from keras import initializers

from nonlocal_tf.choices import is_positive_integer, unknown
from nonlocal_tf.layers.attention_layout import Axes
from nonlocal_tf.layers.pairwise import Pairwise
from nonlocal_tf.models import specs
from nonlocal_tf.models.registry import add_model
from nonlocal_tf.models.resnet3d import (
    Head,
    HeadKind,
    Norm,
    Outputs,
    StrideOn,
    Style,
    resnet,
)
from nonlocal_tf.models.shapes import checked_shape

CROP_PX = 224
CHANNELS = 3
# Arguments of a block that are given as one of the network.
OWN_ARGUMENTS = {
    **{name: name for name in ("pairwise", "scale", "axes", "bn_synchronized")},
    "temporal_group_size": "nonlocal_groups",
}


def register_resnets(backbone: str) -> None:
    """Registers a backbone in every depth, with every number of blocks."""
    for depth in specs.DEPTHS:
        variants: list[tuple[str, specs.Places]] = [
            (f"{backbone}_r{depth}", {})
        ]
        variants += [
            (f"{backbone}_nl{count}_r{depth}", places)
            for (count, of_depth), places in specs.PLACES.items()
            if of_depth == depth
        ]
        for name, places in variants:
            spec = specs.resnet_spec(backbone, depth, places)
            add_model(name, functools.partial(video_resnet, spec, name=name))


def video_resnet(
    spec: specs.ResNetSpec,
    *,
    name: str = "resnet",
    num_classes: int = 400,
    clip_shape: tuple[int | None, ...] | None = None,
    sampling: str = "32x2",
    stem: str | None = None,
    inflation: specs.Inflation | None = None,
    stride_on: StrideOn = "3x3",
    pairwise: str | dict | Pairwise | None = None,
    scale: float | Literal["rsqrt"] | None = None,
    axes: Axes | None = None,
    nonlocal_places: str | specs.Places | None = None,
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
) -> keras.Model:
    """C2D or I3D as a functional model; `create_model` gives all but the first.

    Args:
        spec: stages, temporal kernels and places of non-local blocks.
        name: of the model.
        num_classes: how many logits.
        clip_shape: `(time, height, width, channels)` of one clip; all but the
            channels may be None. Default: `sampling`'s frames of 224 x 224 x 3.
        sampling: "8x8", "32x2", "32x4" or "128x1": frames of a clip times
            their distance in the video. It chooses the stem, and that the
            non-local blocks at res3 of the long clips (32x4, 128x1) look in
            groups of 4 frames, as in the authors' code.
        stem: "official", "official_strided", "slowfast" or "mmaction2".
            Default: the authors' for this sampling.
        inflation: of I3D, "3x1x1" (default) or "3x3x3": the convolution of
            every second block that sees three frames.
        stride_on: the convolution of a block that has the stride: "3x3", or
            "1x1" to inflate Keras' ImageNet weights, which are trained so.
        pairwise: function of the non-local blocks, as in `NonLocalBlock`.
            Default: "embedded_gaussian".
        scale: factor on the logits of the Gaussian functions. Default:
            "rsqrt" for the embedded one, as in the authors' code, and 1 for
            the Gaussian; 1 is the paper's formula.
        axes: "spacetime" (default), "space" or "time": along which blocks
            look.
        nonlocal_places: of models with blocks, other places than the paper's:
            "res2" to "res5" for one block alone there, right before the
            stage's last residual block (table 2b), or `{"res3": (1, 3)}`,
            after which residual blocks, counted from 0.
        nonlocal_groups: `{"res3": 4}`: frames a group, a stage, in which
            non-local blocks look. Default: as `sampling` says; `{}` for none.
        nonlocal_block: other arguments for each `NonLocalBlock`. This and the
            five before it go with models that have blocks.
        head: "classification" (global average, a linear map; any size),
            "fully_convolutional" (average over windows of the training crop's
            size, the linear map at each; for larger frames), "multi_label"
            (as classification, with a sigmoid a class) or "none".
        outputs: "logits" or "probabilities". Fully convolutional logits are a
            map, `(batch, t, h, w, num_classes)`; probabilities are its softmax
            at each place, averaged over the places.
        crop_px: side of the training crop. The fully convolutional head's
            window is what is left of it at the end, of 224 pixels 7.
        dropout: share of features dropped before the linear map, in training.
        norm: "batch" normalisation, or "affine": a scale and a shift that stay
            as loaded, and no normalisation in the non-local blocks, as in the
            authors' models for long clips.
        bn_synchronized: batch statistics over all devices of a strategy.
        zero_init_residual: residual blocks start as their shortcuts. Default:
            with batch normalisation, as an affine one would stay so.
        width: channels of the first convolution; all others follow.

    Returns:
        A model of clips `(batch, time, height, width, channels)`.

    Raises:
        ValueError: an argument is not one of those above, or does not fit the
            others.
    """
    if sampling not in specs.SAMPLINGS:
        raise ValueError(unknown("sampling", sampling, specs.SAMPLINGS))
    sampled = specs.SAMPLINGS[sampling]
    stem = sampled.stem if stem is None else stem
    if stem not in specs.STEMS:
        raise ValueError(unknown("stem", stem, specs.STEMS))
    if inflation is not None and not spec.is_inflated:
        raise ValueError(
            "C2D sees one frame at a time: `inflation` goes with I3D. "
            f"Received: inflation={inflation!r}"
        )
    given = {
        "pairwise": pairwise,
        "scale": scale,
        "axes": axes,
        "nonlocal_places": nonlocal_places,
        "nonlocal_groups": nonlocal_groups,
        "nonlocal_block": nonlocal_block,
    }
    if not spec.has_blocks:
        _check_no_block_arguments(name, given)
    if isinstance(nonlocal_places, str):
        spec = spec.with_one_block(nonlocal_places)
    elif nonlocal_places is not None:
        if not isinstance(nonlocal_places, dict):
            raise ValueError(
                "Expected `nonlocal_places` to be a stage or places a stage, "
                f"such as {{'res3': (1, 3)}}. Received: {nonlocal_places!r}"
            )
        spec = spec.with_blocks(nonlocal_places)
        if not spec.has_blocks:
            raise ValueError(
                "Expected `nonlocal_places` to have at least one place; for "
                "none, build the network without blocks. "
                f"Received: {nonlocal_places!r}"
            )
    if nonlocal_groups is None:
        is_official = stem.startswith("official")
        is_official = is_official and axes in (None, "spacetime")
        nonlocal_groups = dict(sampled.groups) if is_official else {}
    else:
        _check_groups(nonlocal_groups, spec)
    if clip_shape is None:
        clip_shape = (sampled.frames, CROP_PX, CROP_PX, CHANNELS)
    shape = checked_shape(clip_shape, "clips")
    block = _block_arguments(pairwise, scale, axes, norm, nonlocal_block)
    if block["norm"] == "batch":
        block["bn_synchronized"] = bn_synchronized
    return resnet(
        spec,
        name,
        num_classes,
        shape,
        specs.STEMS[stem],
        Style(
            norm=norm,
            bn_synchronized=bn_synchronized,
            zero_init_residual=zero_init_residual,
            inflation=inflation or "3x1x1",
            stride_on=stride_on,
        ),
        Head(head, outputs, dropout, shape[0] or sampled.frames, crop_px),
        width,
        block,
        nonlocal_groups,
    )


def _check_no_block_arguments(name: str, given: Mapping[str, Any]) -> None:
    chosen = [key for key, value in given.items() if value not in (None, {})]
    if chosen:
        raise ValueError(
            f"`{chosen[0]}` goes with a model that has non-local blocks: "
            f"list_models('*_nl*'). Received: "
            f"{chosen[0]}={given[chosen[0]]!r} for {name}"
        )


def _check_groups(groups: dict[str, int], spec: specs.ResNetSpec) -> None:
    with_blocks = [
        stage
        for stage, after in zip(specs.STAGES, spec.nonlocal_after, strict=True)
        if after
    ]
    for stage, size in groups.items():
        if stage not in with_blocks:
            raise ValueError(
                unknown("stage with non-local blocks", stage, with_blocks)
            )
        if not is_positive_integer(size):
            raise ValueError(
                "Expected `nonlocal_groups` to have an integer of at least 1 a "
                f"stage. Received: {groups!r}"
            )


def _block_arguments(
    pairwise: str | dict | Pairwise | None,
    scale: float | Literal["rsqrt"] | None,
    axes: Axes | None,
    norm: Norm,
    others: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What all non-local blocks of a network are built with."""
    others = dict(others or {})
    if "bn_epsilon" in others:
        raise ValueError(
            "Normalisations of these networks have an epsilon of 1e-5, which "
            "all checkpoints are made for. Received: nonlocal_block="
            f"{others!r}"
        )
    for key, argument in OWN_ARGUMENTS.items():
        if key in others:
            raise ValueError(
                f"Expected {key!r} of `nonlocal_block` to be given as "
                f"`{argument}`. Received: nonlocal_block={others!r}"
            )
    pairwise = "embedded_gaussian" if pairwise is None else pairwise
    if scale is None and pairwise == "embedded_gaussian":
        scale = "rsqrt"
    axes = "spacetime" if axes is None else axes
    return {
        "pairwise": pairwise,
        "scale": scale,
        "axes": axes,
        # Along time alone, places next to each other are not to be mixed.
        "subsample": None if axes == "time" else (1, 2, 2),
        "norm": "batch" if norm == "batch" else "none",
        "kernel_initializer": initializers.RandomNormal(0.0, 0.01),
        **others,
    }
