"""From what was read to a model without its weights yet."""

import functools

import keras

from nonlocal_tf.choices import check_arguments, unknown
from nonlocal_tf.models import image, shapes, specs, video
from nonlocal_tf.weights import graph
from nonlocal_tf.weights.infer import Network
from nonlocal_tf.weights.read import Checkpoint

Built = tuple[keras.Model, dict]


def clip_model(checkpoint: Checkpoint, network: Network, given: dict) -> Built:
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
    noted_block = noted.pop("nonlocal_block", {})
    arguments, assumed = {**noted, **given}, {}
    if frames and "sampling" not in given:
        size = (frames, video.CROP_PX, video.CROP_PX, video.CHANNELS)
        arguments.setdefault("clip_shape", size)
    is_known = "stem" in noted and "clip_shape" in arguments
    if "sampling" not in given and not is_known:
        default = "32x4" if network.norm == "affine" else form.sampling
        is_c2d = form.name == "mmaction2" and not network.spec.is_inflated
        default = "8x8" if is_c2d else default
        arguments["sampling"] = assumed["sampling"] = default
    arguments.setdefault("num_classes", network.num_classes or 0)
    arguments.setdefault("norm", network.norm)
    if "stem" not in arguments:
        stem = graph.stem_of(form, network.spec.is_inflated)
        if stem is None:  # also SlowFast has files in the authors' format
            stem = specs.SAMPLINGS[arguments["sampling"]].stem
            assumed["stem"] = stem
        arguments["stem"] = stem
    if not network.has_time:
        assumed["backbone"] = "c2d"
    if network.spec.is_inflated:
        arguments.setdefault("inflation", network.inflation)
    if network.spec.has_blocks:
        _block_arguments(form, network, noted_block, arguments, assumed)
    if "head" not in arguments:
        arguments["head"] = _head(form, network, arguments)
    arguments.setdefault("name", network.name)
    arguments.setdefault("width", network.width)
    return _build(video.video_resnet, network, arguments), assumed


def _noted(checkpoint: Checkpoint, given: dict) -> dict:
    """What the file says of its network and nobody asked to be otherwise."""
    noted, without = checkpoint.graph, {"pool_padding"}
    if given.get("sampling", "8x8") not in specs.SAMPLINGS:
        raise ValueError(
            unknown("sampling", given["sampling"], specs.SAMPLINGS)
        )
    if "sampling" in given and noted.get("stem", "").startswith("official"):
        # Which of the authors' graphs it is may have been assumed in writing.
        without |= {"stem", "frames", "nonlocal_groups"}
    if given.get("pairwise") not in (None, noted.get("pairwise")):
        without |= {"scale"}
    if given.get("axes") not in (None, noted.get("axes")):
        without |= {"nonlocal_groups", "nonlocal_block"}
    return {k: v for k, v in noted.items() if k not in without}


def _block_arguments(form, network, noted_block, arguments, assumed) -> None:
    certain = network.pairwise
    if certain is None and "pairwise" not in arguments:
        assumed["pairwise"] = "embedded_gaussian"
    asked = arguments.setdefault("pairwise", certain or "embedded_gaussian")
    if certain is None and asked not in ("embedded_gaussian", "dot_product"):
        raise ValueError(
            "The weights are those of an embedded Gaussian or a dot product. "
            f"Received: pairwise={asked!r}"
        )
    if certain is not None and asked != certain:
        raise ValueError(
            f"The weights are those of pairwise={certain!r}. "
            f"Received: pairwise={asked!r}"
        )
    if asked == "embedded_gaussian" and "scale" not in arguments:
        arguments["scale"] = assumed["scale"] = form.scale
    if form.name == "ours" and "axes" not in arguments:
        assumed["axes"] = "spacetime"
    if "nonlocal_groups" not in arguments:
        by_sampling = form.groups and network.norm == "affine"
        if not (by_sampling or form.name == "ours"):
            arguments["nonlocal_groups"] = {}
    if form.name == "ours" and not noted_block:
        assumed["pool_position"] = network.block["pool_position"]
    block = {**network.block, **noted_block}
    if arguments["norm"] != network.norm:  # asked for; the weights follow
        is_batch = arguments["norm"] == "batch"
        block["norm"] = "batch" if is_batch else "none"
        block["out_bias"] = block["out_bias"] or not is_batch
    arguments["nonlocal_block"] = {
        **block,
        **arguments.get("nonlocal_block", {}),
    }


def _head(form, network, arguments) -> str:
    if network.num_classes is None and not arguments["num_classes"]:
        return "none"
    shape = shapes.checked_shape(
        arguments.get("clip_shape", (None,) * 3 + (video.CHANNELS,)), "clips"
    )
    crop = arguments.get("crop_px", video.CROP_PX)
    larger = any(side is not None and side > crop for side in shape[1:3])
    if larger and not form.global_pool:
        return "fully_convolutional"
    return "classification"


def image_model(checkpoint: Checkpoint, network: Network, given: dict) -> Built:
    """The network on images, as `clip_model`."""
    form, arguments = checkpoint.form, dict(given)
    for name in ("sampling", "pairwise", "scale"):
        if name in arguments:
            raise ValueError(
                f"The file has the weights of a network on images: {name!r} "
                f"does not apply. Received: {name}={arguments[name]!r}"
            )
    if "clip_shape" in arguments:
        arguments["image_shape"] = arguments.pop("clip_shape")
    arguments.setdefault("num_classes", network.num_classes or 0)
    if not arguments["num_classes"]:
        arguments.setdefault("head", "none")
    arguments.setdefault("name", network.name)
    arguments.setdefault("width", network.width)
    arguments.setdefault("norm", network.norm)
    for name, value in checkpoint.graph.items():
        arguments.setdefault(name, value)
    assumed = {}
    for name, value in (("stride_on", form.stride_on), ("pool_padding", 1)):
        if name not in arguments:
            arguments[name] = value
            if form.name not in ("torchvision", "keras_resnet"):
                assumed[name] = value
    return _build(image.image_resnet, network, arguments), assumed


def _build(builder, network: Network, arguments: dict) -> keras.Model:
    build = functools.partial(builder, network.spec)
    check_arguments("from_checkpoint", build, arguments)
    return build(**arguments)
