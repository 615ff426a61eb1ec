"""From what was read to a model without its weights yet."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras

from nonlocal_tf.checkpoints import architecture_metadata
from nonlocal_tf.checkpoints.formats import Format
from nonlocal_tf.checkpoints.infer_architecture import Network
from nonlocal_tf.checkpoints.read import Checkpoint
from nonlocal_tf.choices import check_arguments, unknown
from nonlocal_tf.models import configs, image_resnet, input_shapes, video_resnet

Built = tuple[keras.Model, dict[str, Any]]


def clip_model(
    checkpoint: Checkpoint, network: Network, given: dict[str, Any]
) -> Built:
    """The network on clips, and what was assumed for it.

    Args:
        checkpoint: what was read.
        network: what its names and shapes say.
        given: arguments of `create_model` that were asked for.

    Raises:
        ValueError: one of them contradicts the file, or is none.
        TypeError: an argument is unknown.
    """
    form, noted = checkpoint.form, _noted(checkpoint, given)
    frames = noted.pop("frames", None)
    block = {
        k: noted.pop(k) for k in architecture_metadata.OF_BLOCKS if k in noted
    }
    arguments: dict[str, Any] = {**noted, **given}
    assumed: dict[str, Any] = {}
    clip = given.get("clip_shape")
    if clip is not None:
        input_shapes.checked_shape(clip, "clips")
    if "sampling" not in given:
        default = _sampling(noted, frames, clip)
        if default is None:
            default = assumed["sampling"] = _usual_sampling(form, network)
        arguments["sampling"] = default
    if clip is None:
        frames = frames or configs.SAMPLINGS[arguments["sampling"]].frames
        crop = video_resnet.CROP_PX
        size = (frames, crop, crop, network.fan_in)
        arguments["clip_shape"] = size
    arguments.setdefault("num_classes", network.num_classes or 0)
    arguments.setdefault("norm", network.norm)
    if "stem" not in arguments:
        stem = architecture_metadata.stem_of(form, network.spec.is_inflated)
        if stem is None or "stem" in checkpoint.graph:
            stem = configs.SAMPLINGS[arguments["sampling"]].stem
        if "stem" not in checkpoint.graph and form.stem is None:
            assumed["stem"] = stem  # also SlowFast has files of this format
        arguments["stem"] = stem
    if not network.has_time:
        assumed["backbone"] = "c2d"
    if network.spec.is_inflated:
        arguments.setdefault("inflation", network.inflation)
    if network.spec.has_blocks:
        _block_arguments(checkpoint, network, block, arguments, assumed)
    if "head" not in arguments:
        arguments["head"] = _head(form, network, arguments)
    arguments.setdefault("name", network.name)
    arguments.setdefault("width", network.width)
    return _build(video_resnet.video_resnet, network, arguments), assumed


def _noted(checkpoint: Checkpoint, given: dict[str, Any]) -> dict[str, Any]:
    """What the file says of its network and nobody asked to be otherwise."""
    noted, without = checkpoint.graph, {"pool_padding"}
    if given.get("sampling", "8x8") not in configs.SAMPLINGS:
        raise ValueError(
            unknown("sampling", given["sampling"], configs.SAMPLINGS)
        )
    if "sampling" in given:
        # Which of the authors' graphs it is may have been assumed in writing.
        without |= {"frames"}
        if noted.get("stem", "").startswith("official"):
            without |= {"stem"}
            usual = [dict(one.groups) for one in configs.SAMPLINGS.values()]
            if noted.get("nonlocal_groups") in usual:
                without |= {"nonlocal_groups"}
    # A layer has a factor of its own; a name, if it is the same, that noted.
    if given.get("pairwise") not in (None, noted.get("pairwise")):
        without |= {"scale"}
    if given.get("axes") not in (None, noted.get("axes")):
        without |= {"nonlocal_groups", "subsample"}
    return {k: v for k, v in noted.items() if k not in without}


def _sampling(
    noted: dict[str, Any],
    frames: int | None,
    clip_shape: Sequence[int | None] | None,
) -> str | None:
    """That of the file's stem and frames, if it says them."""
    stem = noted.get("stem")
    for name, sampling in configs.SAMPLINGS.items():
        is_same = stem in (sampling.stem, "slowfast", "mmaction2")
        if is_same and sampling.frames == frames:
            return name
    if stem and frames and (clip_shape is None or None not in clip_shape[:1]):
        return "32x2"  # it would only say what stem and clip say already
    return None


def _usual_sampling(form: Format, network: Network) -> str:
    if form.name == "mmaction2" and not network.spec.is_inflated:
        return "8x8"
    return "32x4" if network.norm == "affine" else form.sampling


def _block_arguments(
    checkpoint: Checkpoint,
    network: Network,
    noted: dict[str, Any],
    arguments: dict[str, Any],
    assumed: dict[str, Any],
) -> None:
    """Adds those of non-local blocks; `noted` are arguments of each block."""
    form, certain = checkpoint.form, network.pairwise
    if certain is None and "pairwise" not in arguments:
        assumed["pairwise"] = "embedded_gaussian"
    asked = arguments.setdefault("pairwise", certain or "embedded_gaussian")
    function = architecture_metadata.function_of(asked)
    possible = (certain,) if certain else architecture_metadata.ALIKE
    ours = architecture_metadata.FUNCTIONS.values()
    if asked == checkpoint.graph.get("pairwise") and asked not in ours:
        raise ValueError(
            f"The file's network has a pairwise function of its own, {asked}: "
            "build it with create_model(pairwise=...), and fill it with "
            "load_weights."
        )
    if function in ours and function not in possible:
        raise ValueError(
            f"The weights are those of pairwise={' or '.join(possible)}. "
            f"Received: pairwise={asked!r}"
        )
    if asked == "embedded_gaussian" and "scale" not in arguments:
        arguments["scale"] = assumed["scale"] = form.scale
    is_bare = form.name == "ours" and not checkpoint.graph
    if is_bare and "axes" not in arguments:
        assumed["axes"] = "spacetime"
    if is_bare:
        assumed["pool_position"] = network.block["pool_position"]
    if "nonlocal_groups" not in arguments:
        by_sampling = form.groups and network.norm == "affine"
        if not (by_sampling or form.name == "ours" or checkpoint.graph):
            arguments["nonlocal_groups"] = {}
    block = {**network.block, **noted}
    if arguments["norm"] != network.norm:  # asked for; the weights follow
        is_batch = arguments["norm"] == "batch"
        block["norm"] = "batch" if is_batch else "none"
        block["out_bias"] = block["out_bias"] or not is_batch
    arguments["nonlocal_block"] = {
        **block,
        **arguments.get("nonlocal_block", {}),
    }


def _head(form: Format, network: Network, arguments: dict[str, Any]) -> str:
    if network.num_classes is None and not arguments["num_classes"]:
        return "none"
    shape = input_shapes.checked_shape(arguments["clip_shape"], "clips")
    crop = arguments.get("crop_px", video_resnet.CROP_PX)
    larger = any(side is not None and side > crop for side in shape[1:3])
    if larger and not form.global_pool:
        return "fully_convolutional"
    return "classification"


def image_model(
    checkpoint: Checkpoint, network: Network, given: dict[str, Any]
) -> Built:
    """The network on images, as `clip_model`."""
    form, arguments = checkpoint.form, dict(given)
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
    size = (*image_resnet.IMAGE_SHAPE[:-1], network.fan_in)
    arguments.setdefault("image_shape", size)
    arguments.setdefault("num_classes", network.num_classes or 0)
    if not arguments["num_classes"]:
        arguments.setdefault("head", "none")
    arguments.setdefault("name", network.name)
    arguments.setdefault("width", network.width)
    arguments.setdefault("norm", network.norm)
    for name in ("stride_on", "pool_padding"):
        if name in checkpoint.graph:
            arguments.setdefault(name, checkpoint.graph[name])
    assumed = {}
    for name, value in (("stride_on", form.stride_on), ("pool_padding", 1)):
        if name not in arguments:
            arguments[name] = value
            if form.name not in ("torchvision", "keras_resnet"):
                assumed[name] = value
    return _build(image_resnet.image_resnet, network, arguments), assumed


def _build(
    builder: Callable[..., keras.Model], network: Network, arguments: dict
) -> keras.Model:
    build = functools.partial(builder, network.spec)
    check_arguments("from_checkpoint", build, arguments)
    return build(**arguments)
