"""Loading of checkpoints: `load_weights` and `from_checkpoint`."""

import dataclasses
import os
from typing import Any, Literal

import keras

from nonlocal_tf.checkpoints import build_model, infer_architecture
from nonlocal_tf.checkpoints.assign import assign
from nonlocal_tf.checkpoints.errors import (
    CheckpointError,
    MismatchError,
    check_model,
)
from nonlocal_tf.checkpoints.load_report import LoadReport
from nonlocal_tf.checkpoints.read import open_checkpoint, read_checkpoint
from nonlocal_tf.checkpoints.readers import hdf5, keras_archive, pytorch
from nonlocal_tf.checkpoints.size_limits import MemoryBudget
from nonlocal_tf.choices import unknown
from nonlocal_tf.models import flattening
from nonlocal_tf.models.layer_copy import check_not_quantized
from nonlocal_tf.models.resnet_head import HeadKind


def load_weights(
    model: keras.Model,
    path: str | os.PathLike,
    new_head: bool = False,
    part: str | None = None,
) -> LoadReport:
    """Load the weights of a checkpoint file into a model.

    Either all weights fit, or the model does not change. Exceptions, listed in
    the report as `kept` and `unused`: the classifier, if the file has none or
    one of other classes, and non-local blocks, if the file has none.

    2D kernels, and 3D kernels of a single frame, are inflated: repeated in
    time and divided by the number of frames. Batch normalization is converted
    to a scale and shift where the model has `norm="affine"`, and vice versa.

    The weights may be under any key of the file and have a common prefix such
    as `module.`. Of several state dicts the averaged one (EMA) is loaded, else
    that under the most usual key; see `selected` of the report.

    Models expect the pre-processing that they were trained with. Models of the
    authors, SlowFast and pytorchvideo: RGB, `nonlocal_tf.preprocess.normalize`
    (pixels between 0 and 1 minus 0.45, divided by 0.225). mmaction2,
    torchvision, Hugging Face and, unless its model card differs, timm: RGB
    minus (123.675, 116.28, 103.53), divided by (58.395, 57.12, 57.375).
    Keras' ResNets: BGR minus (103.939, 116.779, 123.68). Fine-tuning adapts a
    model to other pre-processing; evaluation needs the original one.

    Keras' ResNets have the stride on their 1x1 convolutions: build the model
    with `stride_on="1x1"`, else `differences` of the report is not empty.

    Args:
        model: a model of `create_model`, or with one inside.
        path: Caffe2 `.pkl` of the authors, SlowFast `.pyth` or `.pkl`,
            pytorchvideo `.pyth`, mmaction2 `.pth`, a ResNet-50 or -101 of
            torchvision, timm (`resnet50`, not `resnet50d` and the like) or
            Hugging Face (`.pth`, `.bin`) or of `keras.applications` (`.h5`),
            or `.keras` and `.weights.h5` of this library; or `.safetensors`
            with the names of any of these. Files are untrusted: no code in
            them is run, and reading takes at most four times their size and
            64 MB of memory.
        new_head: keep the classifier's initial values, even if that of the
            file fits.
        part: name of the network inside `model` that the file is for, or its
            path, such as "frames/network" in a `TimeDistributed` called
            "frames". Default: `model` itself.

    Returns:
        A `LoadReport`. Print it to see what was loaded.

    Raises:
        CheckpointError: the file is damaged, would run code, or does not fit
            the model. A ValueError that names the file and the weight.
        ValueError: `model` has no such part, or is quantized.
        TypeError: `model` is not a Keras model.
        OSError: the file cannot be opened.
    """
    check_model(model)
    network = model if part is None else _part(model, part)
    check_not_quantized(network, "Load the weights before it is quantized.")
    checkpoint = read_checkpoint(path)
    try:
        return assign(network, checkpoint, new_head)
    except MismatchError as error:
        parts = list(_parts(network))
        if not parts:
            raise
        names = " or ".join(map(repr, parts))
        raise MismatchError(
            error.reason,
            "If the file is for a network inside the model, give load_weights "
            f"part={names}.",
        ) from error


def _parts(model: keras.Model) -> dict[str, keras.Model]:
    """Return the models inside a model by path."""
    return {
        path: layer
        for path, layer in flattening.walk(model)
        if isinstance(layer, keras.Model)
    }


def _part(model: keras.Model, name: str) -> keras.Model:
    """Return the model inside a model with a path or unique name.

    Raises:
        ValueError: there is none, or several.
    """
    parts = _parts(model)
    if name in parts:
        return parts[name]
    named = [layer for layer in parts.values() if layer.name == name]
    if len(named) != 1:
        raise ValueError(unknown("part", name, parts))
    return named[0]


def from_checkpoint(
    path: str | os.PathLike,
    sampling: str | None = None,
    pairwise: str | None = None,
    scale: float | Literal["rsqrt"] | None = None,
    clip_shape: tuple[int | None, ...] | None = None,
    num_classes: int | None = None,
    head: HeadKind | None = None,
    **options: Any,
) -> tuple[keras.Model, LoadReport]:
    """Build the network of a checkpoint file and load its weights.

    Depth, temporal kernels, non-local blocks, normalization and number of
    classes are inferred from the weights. Files of `save_weights` also have
    `sampling`, `pairwise`, `scale` and `stem`. For other files give them, or
    see `assumed` of the report for the values that were assumed.

    Args:
        path: a checkpoint file, see `load_weights`.
        sampling: "8x8", "32x2", "32x4" or "128x1" (frames x stride); selects
            one of the authors' two stems and the number of frames. Default:
            "8x8" for SlowFast files, "32x4" for files without normalization
            statistics (affine), else "32x2".
        pairwise: "embedded_gaussian" (default), "dot_product" or "efficient",
            which weights cannot tell apart. The others are inferred.
        scale: factor on the logits of the embedded Gaussian. Default: "rsqrt",
            or 1 for mmaction2.
        clip_shape: `(time, height, width, channels)`; all but the channels may
            be None. Default: the sampling's frames of 224 x 224 x 3. For a
            network on images, `(height, width, channels)`.
        num_classes: number of classes. Default: that of the file. The
            classifier keeps its initial values if it differs.
        head: see `create_model`. Default: "none" if the file has no
            classifier; else "classification", or "fully_convolutional" for
            clips larger than a training crop. mmaction2 pools globally there,
            too.
        **options: other arguments of `create_model`, such as `outputs`. Give
            `stem="slowfast"` for `.pkl` files of SlowFast's model zoo, which
            have the names of the authors' files, and `stem="slowfast_nopool"`
            for a C2D without pools over time ("nopool") of SlowFast or
            mmaction2, whose weights do not tell.

    Returns:
        `(model, report)`, a Keras model and a `LoadReport`.

    Raises:
        CheckpointError: see `load_weights`.
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
    path = os.path.expanduser(os.fspath(path))
    overrides = {
        "sampling": sampling,
        "pairwise": pairwise,
        "scale": scale,
        "clip_shape": clip_shape,
        "num_classes": num_classes,
        "head": head,
        **options,
    }
    overrides = {k: v for k, v in overrides.items() if v is not None}
    if _is_keras_archive(path):
        return _load_keras_archive(path, overrides)
    checkpoint = read_checkpoint(path)
    architecture = infer_architecture.infer(checkpoint)
    build = (
        build_model.build_image_model
        if architecture.is_image
        else build_model.build_clip_model
    )
    try:
        model, assumed = build(checkpoint, architecture, overrides)
    except ValueError as error:  # may be about the file's metadata
        raise CheckpointError(f"{checkpoint.path}: {error}") from error
    report = assign(model, checkpoint)
    return model, dataclasses.replace(report, assumed=assumed)


def _is_keras_archive(path: str | os.PathLike) -> bool:
    with open_checkpoint(path) as file:
        if not pytorch.is_archive(file.read(4)):
            return False
        budget = MemoryBudget(os.fstat(file.fileno()).st_size)
        return hdf5.is_keras_archive(file, budget)


def _load_keras_archive(
    path: str, overrides: dict[str, Any]
) -> tuple[keras.Model, LoadReport]:
    if overrides:
        raise ValueError(
            "A .keras file determines the whole model. To load its weights "
            "into another one, build that with create_model and call "
            f"load_weights. Received: {', '.join(overrides)}"
        )
    if not path.endswith(".keras"):
        raise CheckpointError(
            f"{path}: Keras reads such a file only if its name ends in "
            "'.keras'. Rename it."
        )
    model = keras_archive.load(path)
    loaded: dict[str, tuple[str, ...]] = {
        v.path: (v.path,) for v in model.weights
    }
    return model, LoadReport(path, "keras", loaded)
