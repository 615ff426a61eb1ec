"""Saving of weights in formats of other software: `save_weights`."""

import contextlib
import errno
import os
import pickle
import secrets
from collections.abc import Iterator
from typing import BinaryIO

import keras
import numpy as np

from nonlocal_tf.checkpoints import architecture_metadata
from nonlocal_tf.checkpoints.assign import variables_by_path
from nonlocal_tf.checkpoints.errors import CheckpointError, check_model
from nonlocal_tf.checkpoints.formats import (
    FORMATS,
    from_keras_layout,
    parse_path,
)
from nonlocal_tf.checkpoints.readers import hdf5, pytorch, safetensors
from nonlocal_tf.choices import unknown
from nonlocal_tf.layers import NonLocalBlock

# Convolutions that have a bias only in a folded model.
CONVOLUTIONS = ("stem", "conv1", "conv2", "conv3", "shortcut")
# Arguments that other software cannot be configured to.
UNSUPPORTED = ("axes", "pool_position")
# File name extension of each writable format.
WRITABLE_FORMATS = {
    "keras": ".keras",
    "h5": ".weights.h5",
    "safetensors": ".safetensors",
    "caffe2": ".pkl",
    "slowfast": ".pyth",
    "pytorchvideo": ".pyth",
}


def save_weights(
    model: keras.Model,
    path: str | os.PathLike,
    format: str | None = None,
    *,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Save the weights of a model, also in formats of other software.

    `from_checkpoint` restores a model with bit-equal weights and, for the same
    clips and head, equal outputs: the file has metadata on the architecture
    that weights do not determine, such as the stem. Head, outputs and frame
    size are arguments of `from_checkpoint`; `.keras` files have them, too.
    Other software does not read the metadata; the return value tells how to
    configure it.

    The file is written under a scratch name and renamed when it is complete.

    Args:
        model: a model of `create_model` or `from_checkpoint`.
        path: path of the file.
        format: "keras" (model and weights), "h5" (Keras' `.weights.h5`),
            "safetensors" (variables by their paths), "caffe2" (the authors'),
            "slowfast" or "pytorchvideo" (PyTorch; the latter has no non-local
            blocks). Default: by the extension of `path`: `.keras`,
            `.weights.h5`, `.safetensors`, `.pkl`, or `.pyth` for slowfast. The
            last three write their names into a safetensors file if `path`
            ends in `.safetensors`.
        overwrite: True to replace an existing file.

    Returns:
        Sentences on how the default networks of the format's software differ
        from this model although its weights fit.

    Raises:
        CheckpointError: the format has no name for one of the weights, or its
            software cannot build an equal network.
        ValueError: the format is unknown or not given by the extension.
        TypeError: `model` is not a Keras model.
        FileExistsError: the file exists.
        OSError: the file cannot be written.
    """
    check_model(model)
    path = os.path.expanduser(os.fspath(path))
    format = format_of_path(path) if format is None else format
    if format not in WRITABLE_FORMATS:
        raise ValueError(unknown("format", format, WRITABLE_FORMATS))
    extension = WRITABLE_FORMATS[format]
    if format in ("keras", "h5") and not path.endswith(extension):
        raise ValueError(
            f"Keras reads {format} files by their names. Expected a path that "
            f"ends in {extension!r}. Received: {path!r}"
        )
    if format == "keras":
        with _new_file(path, overwrite) as scratch:
            model.save(scratch)
        return ()
    _check_not_folded(model, format)
    metadata = {architecture_metadata.KEY: architecture_metadata.dumps(model)}
    if format == "h5":
        with _new_file(path, overwrite) as scratch:
            model.save_weights(scratch)
            for key, text in metadata.items():
                hdf5.write_attribute(scratch, key, text)
        return ()
    differences: tuple[str, ...] = ()
    if format != "safetensors":
        differences = _checked_differences(model, format)
    arrays = to_arrays(model, format)
    if path.lower().endswith(WRITABLE_FORMATS["safetensors"]):
        format = "safetensors"
    with _new_file(path, overwrite) as scratch, open(scratch, "xb") as file:
        _write_arrays(file, format, arrays, metadata)
    return differences


def _write_arrays(
    file: BinaryIO,
    format: str,
    arrays: dict[str, np.ndarray],
    metadata: dict[str, str],
) -> None:
    if format == "safetensors":
        safetensors.write(file, arrays, metadata)
    elif format == "caffe2":
        pickle.dump({"blobs": arrays, **metadata}, file, protocol=2)
    else:
        pytorch.write(file, {"model_state": arrays, "cfg": "", **metadata})


@contextlib.contextmanager
def _new_file(path: str, overwrite: bool) -> Iterator[str]:
    """Give a scratch name, renamed to `path` when the block succeeds.

    Raises:
        FileExistsError: `path` exists and `overwrite` is False.
        OSError: the file cannot be written; the error names `path`.
    """
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(
            f"{path} exists. Expected another path, or overwrite=True to "
            "replace it."
        )
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            errno.ENOENT, "There is no folder to write to", folder
        )
    token = secrets.token_hex(8)
    # Keras goes by the extension.
    scratch = os.path.join(folder, f".unfinished-{token}-{name[-40:]}")
    try:
        yield scratch
        with open(scratch, "rb") as file:
            os.fsync(file.fileno())
        os.replace(scratch, target)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.remove(scratch)
        if isinstance(error, OSError) and error.filename in (None, scratch):
            error.filename = path if error.errno else None
        raise


def format_of_path(path: str) -> str:
    """Return the writable format with a path's extension.

    Raises:
        ValueError: no format has this extension.
    """
    for name, extension in WRITABLE_FORMATS.items():
        # Keras recognises its own files by lower-case extensions alone.
        text = path if name in ("keras", "h5") else path.lower()
        if text.endswith(extension):
            return name
    extensions = ", ".join(f"{e} ({n})" for n, e in WRITABLE_FORMATS.items())
    raise ValueError(
        f"Expected a path with one of the extensions {extensions}; or give "
        f"format={' or '.join(map(repr, WRITABLE_FORMATS))}. "
        f"Received: {path!r}"
    )


def _check_not_folded(model: keras.Model, format: str) -> None:
    for variable in model.weights:
        weight = parse_path(variable.path)
        if weight and weight.part in CONVOLUTIONS and weight.role == "bias":
            raise CheckpointError(
                f"The model is folded: it has {variable.path!r} instead of a "
                f"normalization, for which {format} files have no name. Save "
                "the model before folding it, or write this one as keras."
            )


def _checked_differences(model: keras.Model, format: str) -> tuple[str, ...]:
    """Describe how default networks of a format differ, a sentence each.

    Raises:
        CheckpointError: the format's software cannot be configured to compute
            what the model does.
    """
    metadata, file_format = (
        architecture_metadata.metadata_of(model),
        FORMATS[format],
    )
    if not metadata:
        raise CheckpointError(
            f"Files of {format} have the weights of residual networks, such "
            f"as 'c2d_nl5_r50'. Received another network, {model.name!r}; "
            "write it as keras or h5."
        )
    if format == "pytorchvideo" and "pool_padding" in metadata:
        raise CheckpointError(
            f"Files of {format} have networks on clips, such as 'c2d_r50'. "
            f"Received a network on images, {model.name!r}; write it as h5."
        )
    owner = f"networks of {format}"
    expected = architecture_metadata.expected(
        file_format, {}, "inflation" in metadata
    )
    sentences = architecture_metadata.differences(model, expected, owner)
    stem = metadata.get("stem", "official")
    if stem == "slowfast_nopool" and format == "pytorchvideo":
        raise CheckpointError(
            "Networks of pytorchvideo without the pool behind res2 have other "
            f"names. Received: {model.name!r} with stem={stem!r}; write it as "
            "slowfast, keras or h5."
        )
    if file_format.stem is None and not stem.startswith("official"):
        sentences["stem"] = f"stem is {stem!r}, in {owner} 'official'"
    unsupported = [sentences[name] for name in UNSUPPORTED if name in sentences]
    unsupported += [
        f"{name} of the blocks is {metadata[name]!r}, which {owner} do not have"
        for name in architecture_metadata.EXTENSIONS
        if name in metadata
    ]
    supported = architecture_metadata.IN_OTHER_SOFTWARE
    pairwise = metadata.get("pairwise", supported[0])
    if pairwise not in supported:
        unsupported.append(
            f"pairwise is {pairwise!r}, in {owner} one of {supported}"
        )
    has_batch_norm = any(layer.name == "conv1_bn" for layer in model.layers)
    norms = ("batch",) if has_batch_norm else ("none", "affine")
    for layer in model.layers:
        if isinstance(layer, NonLocalBlock):
            if layer.norm not in norms or not layer.out_bias:
                unsupported.append(
                    f"{layer.name} has norm={layer.norm!r} and out_bias="
                    f"{bool(layer.out_bias)}, in {owner} {norms[0]!r} and True"
                )
    if unsupported:
        raise CheckpointError(
            f"No network of {format} equals the model: {unsupported[0]}. "
            "Write it as keras or h5."
        )
    return tuple(sentences.values())


def to_arrays(model: keras.Model, format: str) -> dict[str, np.ndarray]:
    """Return a model's weights in the names and the layout of a format.

    Args:
        model: a model of `create_model` or `from_checkpoint`.
        format: a name in `FORMATS`, or "safetensors" for variable paths.

    Raises:
        CheckpointError: the format has no name for one of the weights.
    """
    if format == "safetensors":
        variables = variables_by_path(model)
        return {p: keras.ops.convert_to_numpy(v) for p, v in variables.items()}
    arrays = {}
    affine = [v.path for v in model.weights if "affine/" in v.path]
    if affine and format != "caffe2":
        raise CheckpointError(
            f"Files of {format} have batch normalization with statistics; "
            f"this model has scales and shifts alone, such as {affine[0]!r}. "
            "Write it as caffe2, keras or h5."
        )
    for variable in model.weights:
        weight = parse_path(variable.path)
        names = () if weight is None else FORMATS[format].names(weight)
        if weight is None or not names:
            raise CheckpointError(
                f"Files of {format} have no name for {variable.path!r}: its "
                "networks have no such layer. Write it as keras or h5."
            )
        array = keras.ops.convert_to_numpy(variable)
        arrays[names[0]] = from_keras_layout(array, weight, FORMATS[format])
    return arrays
