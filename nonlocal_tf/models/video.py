"""The networks of the paper, from the tables in `specs.py`.

`register_resnets` names them `<backbone>[_nl<blocks>]_r<depth>`.
"""

import functools

import keras
from keras import initializers

from nonlocal_tf.choices import unknown
from nonlocal_tf.models import specs
from nonlocal_tf.models.registry import add_model
from nonlocal_tf.models.resnet3d import TOTAL_STRIDE, Head, Style, resnet

CROP_PX = 224
CHANNELS = 3


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
    inflation: str | None = None,
    pairwise="embedded_gaussian",
    scale: float | str | None = None,
    axes: str = "spacetime",
    nonlocal_places: str | specs.Places | None = None,
    nonlocal_groups: dict[str, int] | None = None,
    nonlocal_block: dict | None = None,
    head: str = "classification",
    outputs: str = "logits",
    crop_px: int = CROP_PX,
    dropout: float = 0.5,
    norm: str = "batch",
    bn_synchronized: bool = False,
    zero_init_residual: bool = True,
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
        pairwise: function of the non-local blocks, as in `NonLocalBlock`.
        scale: factor on the logits of the Gaussian functions. Default:
            "rsqrt" for the embedded one, as in the authors' code, and 1 for
            the Gaussian; 1 is the paper's formula.
        axes: "spacetime", "space" or "time": along which blocks look.
        nonlocal_places: of models with blocks, other places than the paper's:
            "res2" to "res5" for one block alone there, right before the
            stage's last residual block (table 2b), or `{"res3": (1, 3)}`,
            after which residual blocks, counted from 0.
        nonlocal_groups: `{"res3": 4}`: frames a group, a stage, in which
            non-local blocks look. Default: as `sampling` says; `{}` for none.
        nonlocal_block: other arguments for each `NonLocalBlock`.
        head: "classification" (global average, a linear map; any size),
            "fully_convolutional" (average over windows of the training crop's
            size, the linear map at each; for larger frames), "multi_label"
            (as classification, with a sigmoid a class) or "none".
        outputs: "logits" or "probabilities". Fully convolutional logits are a
            map, `(batch, t, h, w, num_classes)`; probabilities are its softmax
            at each place, averaged over the places.
        crop_px: side of the training crop, of which the fully convolutional
            head's window is a thirty-second.
        dropout: share of features dropped before the linear map, in training.
        norm: "batch" normalisation, or "affine": a scale and a shift that stay
            as loaded, and no normalisation in the non-local blocks, as in the
            authors' models for long clips.
        bn_synchronized: batch statistics over all devices of a strategy.
        zero_init_residual: residual blocks start as their shortcuts.
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
    if nonlocal_places is not None:
        if not spec.has_blocks:
            raise ValueError(
                "`nonlocal_places` goes with a model that has non-local "
                f"blocks: list_models('*_nl*'). Received: {name}"
            )
        if isinstance(nonlocal_places, str):
            spec = spec.with_one_block(nonlocal_places)
        else:
            spec = spec.with_blocks(nonlocal_places)
    if nonlocal_groups is None:
        is_official = stem.startswith("official") and axes == "spacetime"
        nonlocal_groups = dict(sampled.groups) if is_official else {}
    if clip_shape is None:
        clip_shape = (sampled.frames, CROP_PX, CROP_PX, CHANNELS)
    frames = clip_shape[0] or sampled.frames
    block = {
        "pairwise": pairwise,
        "axes": axes,
        # Along time alone, places next to each other are not to be mixed.
        "subsample": None if axes == "time" else (1, 2, 2),
        "norm": "batch" if norm == "batch" else "none",
        "kernel_initializer": initializers.RandomNormal(0.0, 0.01),
    }
    if scale is None and pairwise == "embedded_gaussian":
        scale = "rsqrt"
    if scale is not None:
        block["scale"] = scale
    if norm == "batch":
        block["bn_synchronized"] = bn_synchronized
    shape = specs.STEMS[stem]
    window = (
        max(frames // (shape.stride_t * shape.pool_strides[0] * 2), 1),
        max(crop_px // TOTAL_STRIDE, 1),
        max(crop_px // TOTAL_STRIDE, 1),
    )
    return resnet(
        spec,
        name,
        num_classes,
        clip_shape,
        shape,
        Style(
            norm=norm,
            bn_synchronized=bn_synchronized,
            zero_init_residual=zero_init_residual,
            inflation=inflation or "3x1x1",
        ),
        Head(head, outputs, dropout, window),
        width,
        {**block, **(nonlocal_block or {})},
        nonlocal_groups,
    )
