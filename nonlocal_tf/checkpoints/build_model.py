"""Construction of the model that a checkpoint has the weights of."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras

from nonlocal_tf.checkpoints import architecture_metadata
from nonlocal_tf.checkpoints.formats import Format
from nonlocal_tf.checkpoints.infer_architecture import Architecture
from nonlocal_tf.checkpoints.read import ResNetCheckpoint
from nonlocal_tf.choices import check_arguments, unknown
from nonlocal_tf.models import (
    backbones,
    image_resnet,
    input_shapes,
    video_resnet,
)

# Formats whose networks on images are of one kind.
IMAGE_FORMATS = ("torchvision", "huggingface", "keras_resnet")
ModelAndAssumptions = tuple[keras.Model, dict[str, Any]]


def build_clip_model(
    checkpoint: ResNetCheckpoint,
    architecture: Architecture,
    overrides: dict[str, Any],
) -> ModelAndAssumptions:
    """Build a network on clips.

    Args:
        checkpoint: the file's content.
        architecture: inferred from the file's weights.
        overrides: arguments of `create_model` that the user gave.

    Returns:
        The model with initial weights, and arguments that neither the file
        nor the user determines with the values assumed for them.

    Raises:
        ValueError: an override is invalid or contradicts the file.
        TypeError: an override is no argument of `create_model`.
    """
    file_format = checkpoint.format
    metadata = _applicable_metadata(checkpoint, overrides)
    frames = metadata.pop("frames", None)
    block = {
        name: metadata.pop(name)
        for name in architecture_metadata.BLOCK_ARGUMENTS
        if name in metadata
    }
    arguments: dict[str, Any] = {**metadata, **overrides}
    assumed: dict[str, Any] = {}
    clip_shape = overrides.get("clip_shape")
    if clip_shape is not None:
        input_shapes.checked_shape(clip_shape, "clips")
    if "sampling" not in overrides:
        sampling = _stored_sampling(metadata, frames, clip_shape)
        if sampling is None:
            sampling = _default_sampling(file_format, architecture)
            assumed["sampling"] = sampling
        arguments["sampling"] = sampling
    if clip_shape is None:
        frames = frames or backbones.SAMPLINGS[arguments["sampling"]].frames
        size = (frames, video_resnet.CROP_PX, video_resnet.CROP_PX)
        arguments["clip_shape"] = (*size, architecture.input_channels)
    arguments.setdefault("num_classes", architecture.num_classes or 0)
    arguments.setdefault("norm", architecture.norm)
    if "stem" not in arguments:
        stem = architecture_metadata.default_stem(
            file_format, architecture.spec.is_inflated, architecture.is_heavy
        )
        if stem is None or "stem" in checkpoint.metadata:
            stem = backbones.SAMPLINGS[arguments["sampling"]].stem
        # SlowFast has files of the authors' format, and mmaction2 two C2Ds.
        is_ambiguous = file_format.stem is None or (
            file_format.name == "mmaction2" and stem == "official"
        )
        if "stem" not in checkpoint.metadata and is_ambiguous:
            assumed["stem"] = stem
        arguments["stem"] = stem
    if not architecture.has_time_axis:
        assumed["backbone"] = "c2d"
    if architecture.spec.is_inflated:
        arguments.setdefault("inflation", architecture.inflation)
    if architecture.spec.has_blocks:
        _add_block_arguments(
            checkpoint, architecture, block, arguments, assumed
        )
    if "head" not in arguments:
        arguments["head"] = _head(file_format, architecture, arguments)
    arguments.setdefault("name", architecture.name)
    arguments.setdefault("width", architecture.width)
    return _build(video_resnet.video_resnet, architecture, arguments), assumed


def _applicable_metadata(
    checkpoint: ResNetCheckpoint, overrides: dict[str, Any]
) -> dict[str, Any]:
    """Drop metadata that the overrides replace."""
    metadata, replaced = checkpoint.metadata, {"pool_padding"}
    if overrides.get("sampling", "8x8") not in backbones.SAMPLINGS:
        raise ValueError(
            unknown("sampling", overrides["sampling"], backbones.SAMPLINGS)
        )
    if "sampling" in overrides:
        # The authors' graph may have been an assumption when it was saved.
        replaced |= {"frames"}
        if metadata.get("stem", "").startswith("official"):
            replaced |= {"stem"}
            samplings = backbones.SAMPLINGS.values()
            groups = [dict(sampling.groups) for sampling in samplings]
            if metadata.get("nonlocal_groups") in groups:
                replaced |= {"nonlocal_groups"}
    # A layer has a scale of its own; a name, if it is the same, the stored one.
    if overrides.get("pairwise") not in (None, metadata.get("pairwise")):
        replaced |= {"scale"}
    if overrides.get("axes") not in (None, metadata.get("axes")):
        replaced |= {"nonlocal_groups", "subsample"}
    return {k: v for k, v in metadata.items() if k not in replaced}


def _stored_sampling(
    metadata: dict[str, Any],
    frames: int | None,
    clip_shape: Sequence[int | None] | None,
) -> str | None:
    """Return the sampling that stem and frames of the metadata determine."""
    stem = metadata.get("stem")
    for name, sampling in backbones.SAMPLINGS.items():
        is_official = (stem or "official").startswith("official")
        has_stem = stem == sampling.stem or not is_official
        if has_stem and sampling.frames == frames:
            return name
    if stem and frames and (clip_shape is None or None not in clip_shape[:1]):
        return "32x2"  # any: stem and clip_shape are given instead
    return None


def _default_sampling(file_format: Format, architecture: Architecture) -> str:
    is_c2d = not architecture.spec.is_inflated
    if file_format.name == "mmaction2" and is_c2d:
        return "8x8"
    return "32x4" if architecture.norm == "affine" else file_format.sampling


def _add_block_arguments(
    checkpoint: ResNetCheckpoint,
    architecture: Architecture,
    block_metadata: dict[str, Any],
    arguments: dict[str, Any],
    assumed: dict[str, Any],
) -> None:
    """Add arguments of non-local blocks to `arguments` and `assumed`."""
    file_format, metadata = checkpoint.format, checkpoint.metadata
    if "pairwise" not in arguments:
        arguments["pairwise"] = architecture.pairwise or "embedded_gaussian"
        if architecture.pairwise is None:
            assumed["pairwise"] = "embedded_gaussian"
    _check_pairwise(arguments["pairwise"], architecture, metadata)
    if (
        arguments["pairwise"] == "embedded_gaussian"
        and "scale" not in arguments
    ):
        arguments["scale"] = assumed["scale"] = file_format.scale
    is_own = file_format.name == "nonlocal_tf"
    if is_own and not metadata:
        if "axes" not in arguments:
            assumed["axes"] = "spacetime"
        assumed["pool_position"] = architecture.block["pool_position"]
    if "nonlocal_groups" not in arguments:
        by_sampling = (
            file_format.has_temporal_groups and architecture.norm == "affine"
        )
        if not (by_sampling or is_own or metadata):
            arguments["nonlocal_groups"] = {}
    block = {**architecture.block, **block_metadata}
    if arguments["norm"] != architecture.norm:  # weights are converted
        is_batch = arguments["norm"] == "batch"
        block["norm"] = "batch" if is_batch else "none"
        block["out_bias"] = block["out_bias"] or not is_batch
    arguments["nonlocal_block"] = {
        **block,
        **arguments.get("nonlocal_block", {}),
    }


def _check_pairwise(
    pairwise: Any, architecture: Architecture, metadata: dict[str, Any]
) -> None:
    """Raise a ValueError if weights or metadata contradict the function."""
    inferred = architecture.pairwise
    compatible = (inferred,) if inferred else architecture_metadata.SAME_WEIGHTS
    built_in = architecture_metadata.PAIRWISE_NAMES.values()
    if pairwise == metadata.get("pairwise") and pairwise not in built_in:
        raise ValueError(
            f"The file's network has a custom pairwise function, {pairwise}. "
            "Build it with create_model(pairwise=...) and fill it with "
            "load_weights."
        )
    name = architecture_metadata.pairwise_name(pairwise)
    if name in built_in and name not in compatible:
        raise ValueError(
            f"The weights are those of pairwise={' or '.join(compatible)}. "
            f"Received: pairwise={pairwise!r}"
        )


def _head(
    file_format: Format, architecture: Architecture, arguments: dict[str, Any]
) -> str:
    if architecture.num_classes is None and not arguments["num_classes"]:
        return "none"
    shape = input_shapes.checked_shape(arguments["clip_shape"], "clips")
    crop_px = arguments.get("crop_px", video_resnet.CROP_PX)
    is_larger = any(side is not None and side > crop_px for side in shape[1:3])
    if is_larger and not file_format.has_global_pool:
        return "fully_convolutional"
    return "classification"


def build_image_model(
    checkpoint: ResNetCheckpoint,
    architecture: Architecture,
    overrides: dict[str, Any],
) -> ModelAndAssumptions:
    """Build a network on images; see `build_clip_model`."""
    file_format, arguments = checkpoint.format, dict(overrides)
    for name in ("sampling", "pairwise", "scale"):
        if name in arguments:
            raise ValueError(
                f"The file has the weights of a network on images: {name!r} "
                f"does not apply. Received: {name}={arguments[name]!r}"
            )
    if {"clip_shape", "image_shape"} <= set(arguments):
        raise ValueError("Give one of `clip_shape` and `image_shape`.")
    if "clip_shape" in arguments:
        arguments["image_shape"] = arguments.pop("clip_shape")
    size = (*image_resnet.IMAGE_SHAPE[:-1], architecture.input_channels)
    arguments.setdefault("image_shape", size)
    arguments.setdefault("num_classes", architecture.num_classes or 0)
    if not arguments["num_classes"]:
        arguments.setdefault("head", "none")
    arguments.setdefault("name", architecture.name)
    arguments.setdefault("width", architecture.width)
    arguments.setdefault("norm", architecture.norm)
    for name in ("stride_on", "pool_padding"):
        if name in checkpoint.metadata:
            arguments.setdefault(name, checkpoint.metadata[name])
    defaults = {"stride_on": file_format.stride_on, "pool_padding": 1}
    assumed = {}
    for name, value in defaults.items():
        if name not in arguments:
            arguments[name] = value
            if file_format.name not in IMAGE_FORMATS:
                assumed[name] = value
    return _build(image_resnet.image_resnet, architecture, arguments), assumed


def _build(
    builder: Callable[..., keras.Model],
    architecture: Architecture,
    arguments: dict[str, Any],
) -> keras.Model:
    build = functools.partial(builder, architecture.spec)
    check_arguments("from_checkpoint", build, arguments)
    return build(**arguments)
