"""From a file to a model: `from_checkpoint` and `load_weights`."""

import dataclasses
import functools
import os

import keras

from nonlocal_tf.choices import check_arguments, unknown
from nonlocal_tf.models import image, shapes, specs, video
from nonlocal_tf.weights import assign, hdf5, infer, pytorch
from nonlocal_tf.weights.errors import CheckpointError, damaged
from nonlocal_tf.weights.names import Format
from nonlocal_tf.weights.read import opened, read
from nonlocal_tf.weights.report import Report


def load_weights(
    model: keras.Model, path: str | os.PathLike, new_head: bool = False
) -> Report:
    """Fills a model of `create_model` from a file of any known format.

    Kernels of images, and of single frames, are repeated in time and divided
    by their number ("inflated"). Batch normalisation goes into an affine model
    as its scale and shift, and the other way round. Either everything fits, or
    the model stays as it is, with these exceptions, which the report lists as
    `kept` and `unused`: the classifier, if the file has none or one of other
    classes; and non-local blocks, if the file has none at all.

    Args:
        model: to fill.
        path: Caffe2 `.pkl` of the authors, SlowFast `.pyth` or `.pkl`,
            mmaction2 or torchvision `.pth`, ResNet of `keras.applications`
            (`.h5`), or our own `.keras` and `.weights.h5`. No code in the file
            is run.
        new_head: leave the classifier as it is, also if that of the file
            would fit.

    Returns:
        A `Report`; print it.

    Raises:
        CheckpointError: the file is damaged, asks to run code, or does not fit
            the model; it names the file and the weight. A ValueError.
        OSError: the file cannot be opened.
    """
    return assign.load(model, read(path), new_head)


def from_checkpoint(
    path: str | os.PathLike,
    sampling: str | None = None,
    pairwise: str | None = None,
    scale: float | str | None = None,
    clip_shape: tuple[int | None, ...] | None = None,
    num_classes: int | None = None,
    head: str | None = None,
    **options,
) -> tuple[keras.Model, Report]:
    """Builds the network that a file has the weights of, and loads them.

    Depth, temporal kernels, places and kind of non-local blocks, normalisation
    and classes are read off the file. Not in the file are `sampling`,
    `pairwise`, `scale` and, of Caffe2 files, `stem`; `report.assumed` says what
    was taken for those not given.

    Args:
        path: as of `load_weights`.
        sampling: "8x8", "32x2", "32x4" or "128x1": which of the authors' two
            graphs, and how many frames. Default: "8x8" for SlowFast files,
            "32x4" for files without statistics (affine), else "32x2".
        pairwise: "embedded_gaussian" (default) or "dot_product", which have
            the same weights. The Gaussian and the concatenation show.
        scale: factor on the logits of the embedded Gaussian. Default: "rsqrt",
            and 1 for mmaction2.
        clip_shape: `(time, height, width, channels)`; all but the channels may
            be None. Default: the sampling's frames of 224 x 224 x 3. For a
            network on images, `(height, width, channels)`.
        num_classes: default: those of the file. With others the classifier
            stays as it is initialised.
        head: as of `create_model`. Default: "none" if the file has no
            classifier; else "classification", or "fully_convolutional" where
            the clip is larger than a training crop (mmaction2 averages larger
            ones too).
        **options: other arguments of `create_model`, such as `outputs`. Give
            `stem="slowfast"` for the `.pkl` files of SlowFast's model zoo,
            which have the names of the authors' files.

    Returns:
        (the model, a `Report`).

    Raises:
        CheckpointError: as of `load_weights`.
        ValueError: an argument contradicts the file.
        TypeError: an argument is unknown.
        OSError: the file cannot be opened.

    Example:

        model, report = nl.from_checkpoint(
            "i3d_nonlocal_8x8_IN_pretrain_400k.pkl",
            sampling="8x8",
            clip_shape=(8, 256, 256, 3),
            outputs="probabilities",
        )
    """
    given = {
        "sampling": sampling,
        "pairwise": pairwise,
        "scale": scale,
        "clip_shape": clip_shape,
        "num_classes": num_classes,
        "head": head,
        **options,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if _is_keras_model(path):
        return _saved_model(path, given)
    checkpoint = read(path)
    network = infer.network_of(checkpoint)
    if network.is_image:
        model, assumed = _image_model(checkpoint.form, network, given), {}
    else:
        model, assumed = _clip_model(checkpoint.form, network, given)
    report = assign.load(model, checkpoint)
    return model, dataclasses.replace(report, assumed=assumed)


def _clip_model(form: Format, network: infer.Network, given: dict):
    """The network on clips, and what was assumed for it."""
    assumed = {}
    arguments = dict(given)
    if arguments.get("sampling", "8x8") not in specs.SAMPLINGS:
        raise ValueError(
            unknown("sampling", arguments["sampling"], specs.SAMPLINGS)
        )
    if "sampling" not in arguments:
        default = "32x4" if network.norm == "affine" else form.sampling
        is_c2d = form.name == "mmaction2" and not network.spec.is_inflated
        default = "8x8" if is_c2d else default
        arguments["sampling"] = assumed["sampling"] = default
    arguments.setdefault("num_classes", network.num_classes or 0)
    arguments.setdefault("norm", network.norm)
    if "stem" not in arguments and form.stem is not None:
        # mmaction2's C2D is the authors' network, its I3D is its own.
        own = form.name != "mmaction2" or network.spec.is_inflated
        arguments["stem"] = form.stem if own else "official"
    elif "stem" not in arguments and form.name == "caffe2":
        # SlowFast has published files in this format, too.
        assumed["stem"] = specs.SAMPLINGS[arguments["sampling"]].stem
    if network.spec.is_inflated:
        arguments.setdefault("inflation", network.inflation)
    if "nonlocal_groups" not in arguments:
        by_sampling = form.groups and network.norm == "affine"
        if not (by_sampling or form.name == "ours"):
            arguments["nonlocal_groups"] = {}
    if network.spec.has_blocks:
        _block_arguments(form, network, arguments, assumed)
    if "head" not in arguments:
        arguments["head"] = _head(form, network, arguments)
    arguments.setdefault("name", network.name)
    arguments.setdefault("width", network.width)
    return _build(video.video_resnet, network, arguments), assumed


def _block_arguments(form, network, arguments, assumed) -> None:
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
    if asked == "embedded_gaussian":
        if "scale" not in arguments:
            arguments["scale"] = assumed["scale"] = form.scale
    arguments["nonlocal_block"] = {
        **network.block,
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


def _image_model(form: Format, network: infer.Network, given: dict):
    arguments = dict(given)
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
    arguments.setdefault("stride_on", form.stride_on)
    return _build(image.image_resnet, network, arguments)


def _build(builder, network: infer.Network, arguments: dict) -> keras.Model:
    build = functools.partial(builder, network.spec)
    check_arguments("from_checkpoint", build, arguments)
    return build(**arguments)


def _is_keras_model(path) -> bool:
    with opened(path) as file:
        if not pytorch.is_archive(file.read(4)):
            return False
        return hdf5.in_keras_archive(file) is not None


def _saved_model(path, given: dict):
    if given:
        raise ValueError(
            "A .keras file says everything of its model. To load its weights "
            "into another one, build that with create_model and call "
            f"load_weights. Received: {', '.join(given)}"
        )
    if not os.fspath(path).endswith(".keras"):
        raise CheckpointError(
            f"{path}: Keras reads such a file only if its name ends in "
            "'.keras'. Rename it."
        )
    with damaged(os.fspath(path)):
        model = keras.models.load_model(path)
    loaded: dict[str, tuple[str, ...]] = {
        v.path: (v.path,) for v in model.weights
    }
    return model, Report(os.fspath(path), "keras", loaded)
