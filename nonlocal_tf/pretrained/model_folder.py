"""Folders of a model as hubs have them: `save_pretrained`, `from_pretrained`.

config.json               the network, as Keras describes it
model.safetensors         its weights (or model.weights.h5)
preprocessor_config.json  frames, size, pixels and classes
README.md                 card with the front matter that hubs read
"""

import contextlib
import importlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras

from nonlocal_tf.checkpoints.errors import (
    CheckpointError,
    as_checkpoint_error,
    check_model,
)
from nonlocal_tf.checkpoints.load import load_weights
from nonlocal_tf.checkpoints.readers import keras_archive
from nonlocal_tf.checkpoints.write import save_weights
from nonlocal_tf.choices import unknown
from nonlocal_tf.pretrained import model_page

CONFIG, PREPROCESSOR, PAGE = (
    "config.json",
    "preprocessor_config.json",
    "README.md",
)
WEIGHTS = {"safetensors": "model.safetensors", "h5": "model.weights.h5"}
MAX_CONFIG_BYTES = 64 << 20


def save_pretrained(
    model: keras.Model,
    folder: str | os.PathLike,
    *,
    license: str = "",
    description: str = "",
    classes: Sequence[str] = (),
    frame_stride: int | None = None,
    mean: float | Sequence[float] = 0.45,
    deviation: float | Sequence[float] = 0.225,
    tags: Sequence[str] = (),
    base_model: str = "",
    dataset: str = "",
    metrics: Mapping[str, float] | None = None,
    weights_format: str = "safetensors",
    overwrite: bool = False,
) -> None:
    """Save a model as a folder that can be published on a hub.

    `from_pretrained` restores it with equal outputs. The safetensors package
    reads the arrays of `model.safetensors` by the paths of their variables; a
    folder with `weights_format="h5"` is also one of
    `keras.saving.load_model`.

    Args:
        model: a functional model of Keras.
        folder: of the model; made if needed.
        license: of the weights, as hubs abbreviate it, such as "apache-2.0" or
            "cc-by-nc-4.0". Default: none is stated.
        description: one sentence for the card.
        classes: names of the logits, in their order.
        frame_stride: distance of a clip's frames in the video.
        mean: subtracted from pixels from 0 to 1, for all channels or each.
            Default: that of `nonlocal_tf.preprocess.normalize`.
        deviation: that they are divided by then.
        tags: for the card, beside "video-classification".
        base_model: what it was fine-tuned from.
        dataset: what it was trained on.
        metrics: values by name, such as `{"accuracy": 0.93}`.
        weights_format: "safetensors" or "h5".
        overwrite: True to replace files of the folder.

    Raises:
        FileExistsError: the folder has files, and `overwrite` is False.
        ValueError: an argument is invalid.
        TypeError: `model` is not a Keras model.
        OSError: the folder cannot be written.
    """
    check_model(model)
    if len(model.inputs) != 1 or len(model.input_shape) not in (4, 5):
        raise ValueError(
            "Expected a model with one input, clips or images. Received: "
            f"inputs of {model.input_shape}"
        )
    if weights_format not in WEIGHTS:
        raise ValueError(unknown("weights_format", weights_format, WEIGHTS))
    units = model.output_shape[-1]
    if classes and len(classes) != units:
        raise ValueError(
            f"Expected the names of {units} classes. Received: {len(classes)}"
        )
    folder = os.path.expanduser(os.fspath(folder))
    if not overwrite and os.path.lexists(folder) and not _is_empty(folder):
        raise FileExistsError(
            f"{folder} has files. Expected a new or empty folder, or "
            "overwrite=True to replace them."
        )
    preprocessor = _preprocessor(model, classes, frame_stride, mean, deviation)
    page = model_page.render(
        model,
        os.path.basename(os.path.abspath(folder)),
        license=license,
        description=description,
        tags=tags,
        base_model=base_model,
        dataset=dataset,
        metrics=metrics or {},
        preprocessor=preprocessor,
    )
    config = keras.saving.serialize_keras_object(model)
    config.pop("compile_config", None)
    texts = {
        CONFIG: json.dumps(config),
        PREPROCESSOR: json.dumps(preprocessor, indent=2) + "\n",
        PAGE: page,
    }
    if weights_format == "h5":  # without it, Keras does not load the folder
        metadata = {"keras_version": keras.__version__}
        texts["metadata.json"] = json.dumps(metadata)

    def write(scratch: str) -> None:
        for name, text in texts.items():
            with open(f"{scratch}/{name}", "x", encoding="utf-8") as file:
                file.write(text)
        save_weights(model, f"{scratch}/{WEIGHTS[weights_format]}")

    _write_folder(folder, write)


def from_pretrained(
    address: str | os.PathLike, revision: str | None = None
) -> keras.Model:
    """Load a model of `save_pretrained` from a folder or a hub.

    Files are untrusted: no code in them is run, and memory is limited by the
    size of the weights.

    Args:
        address: path of a folder, "hf://user/model" (which needs the package
            huggingface_hub) or "kaggle://user/model/keras/variation"
            (kagglehub).
        revision: branch, tag or commit on Hugging Face.

    Returns:
        A functional model, not compiled.

    Raises:
        CheckpointError: the folder is not one of `save_pretrained`, or damaged,
            or cannot be downloaded.
        ImportError: the package of the hub is not installed.
        OSError: a file cannot be read.
    """
    text = os.fspath(address)
    scheme, separator, name = text.partition("://")
    if not separator:
        return _load(os.path.expanduser(text))
    if scheme == "hf":
        hub = _package("huggingface_hub", text)
        with _as_download_error(text):
            folder = hub.snapshot_download(name, revision=revision)
        return _load(folder)
    if scheme == "kaggle":
        hub = _package("kagglehub", text)
        with _as_download_error(text):
            folder = hub.model_download(name)
        return _load(folder)
    raise ValueError(
        "Expected a folder, hf://user/model or "
        f"kaggle://user/model/keras/variation. Received: {text!r}"
    )


@contextlib.contextmanager
def _as_download_error(address: str) -> Iterator[None]:
    """Turn the errors of a hub's client, which share no base, into one line."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{address} was not downloaded: {reason}"
        ) from error


def _package(name: str, address: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{address} needs the package {name}: pip install {name}"
        ) from error


def _load(folder: str) -> keras.Model:
    files = {name: os.path.join(folder, name) for name in WEIGHTS.values()}
    weights = [path for path in files.values() if os.path.isfile(path)]
    config = os.path.join(folder, CONFIG)
    if not (os.path.isfile(config) and weights):
        listed = sorted(os.listdir(folder))[:5]
        raise CheckpointError(
            f"{folder}: Expected {CONFIG} and {' or '.join(files)}, as of "
            f"nl.save_pretrained. Received: {', '.join(listed) or 'no files'}"
        )
    size = os.path.getsize(weights[0])
    if os.path.getsize(config) > MAX_CONFIG_BYTES:
        raise CheckpointError(f"{config} is larger than any network's.")
    with open(config, encoding="utf-8") as file:
        text = file.read()
    with (
        as_checkpoint_error(config),
        keras_archive.LOCK,
        keras_archive.limited_variables(size),
    ):
        description = json.loads(text)
        description.pop("compile_config", None)
        model = keras.saving.deserialize_keras_object(
            description, safe_mode=True
        )
        check_model(model)
    load_weights(model, weights[0])
    return model


def _is_empty(folder: str) -> bool:
    return os.path.isdir(folder) and not os.listdir(folder)


def _write_folder(folder: str, write: Callable[[str], None]) -> None:
    """Write files to a scratch folder, and move them when all are there."""
    parent, name = os.path.split(os.path.abspath(folder))
    os.makedirs(parent, exist_ok=True)
    scratch = f"{parent}/.unfinished-{secrets.token_hex(8)}-{name[-40:]}"
    os.mkdir(scratch)
    try:
        write(scratch)
        os.makedirs(folder, exist_ok=True)
        written = os.listdir(scratch)
        for entry in written:
            os.replace(f"{scratch}/{entry}", f"{folder}/{entry}")
        for entry in {*WEIGHTS.values(), "metadata.json"} - {*written}:
            with contextlib.suppress(FileNotFoundError):
                os.remove(f"{folder}/{entry}")  # of the other format, before
    finally:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(scratch)


def _preprocessor(
    model: keras.Model,
    classes: Sequence[str],
    frame_stride: int | None,
    mean: float | Sequence[float],
    deviation: float | Sequence[float],
) -> dict[str, Any]:
    """Return what comes before the network, in the words of hubs."""
    *frames, height, width, channels = model.input_shape[1:]
    means, deviations = (
        [float(value)] * channels
        if isinstance(value, (int, float))
        else [float(x) for x in value]
        for value in (mean, deviation)
    )
    if not len(means) == len(deviations) == channels:
        raise ValueError(
            f"Expected mean and deviation of {channels} channels. Received: "
            f"{mean}, {deviation}"
        )
    facts: dict[str, Any] = {
        "size": {"height": height, "width": width},
        "rescale_factor": 1 / 255,
        "image_mean": means,
        "image_std": deviations,
        "channels": "RGB" if channels == 3 else channels,
    }
    if frames:
        facts["num_frames"] = frames[0]
    if frame_stride is not None:
        facts["frame_stride"] = frame_stride
    if classes:
        facts["classes"] = list(classes)
    return facts
