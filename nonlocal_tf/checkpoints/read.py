"""Reading of checkpoint files of any format, by their content."""

import contextlib
import dataclasses
import mmap
import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from nonlocal_tf.checkpoints import (
    architecture_metadata,
    unsupported_networks,
)
from nonlocal_tf.checkpoints.errors import CheckpointError, as_checkpoint_error
from nonlocal_tf.checkpoints.formats import FORMATS, Format, Weight
from nonlocal_tf.checkpoints.readers import (
    file_signatures,
    hdf5,
    pickles,
    pytorch,
    safetensors,
    state_dicts,
)
from nonlocal_tf.checkpoints.readers.pickle_arrays import PickledArray
from nonlocal_tf.checkpoints.size_limits import MemoryBudget


@dataclasses.dataclass(frozen=True)
class NamedArrays:
    """Arrays of the network in a checkpoint file.

    Attributes:
        path: path of the file.
        arrays: arrays by their names in the file.
        selected: which of several state dicts the arrays are of, "" if the
            file has one.
        ignored: names in the file that are not weights of a network.
        keys: keys of the file, for messages.
    """

    path: str
    arrays: Mapping[str, np.ndarray]
    selected: str = ""
    ignored: tuple[str, ...] = ()
    keys: str = ""


@dataclasses.dataclass(frozen=True)
class ResNetCheckpoint:
    """Weights of a residual network in a known format.

    Attributes:
        path: path of the file.
        format: format of the file.
        arrays: weights by their names in the file.
        ignored: names in the file that are not weights of a network.
        metadata: architecture metadata of the file; empty unless
            `save_weights` wrote it.
        selected: see `NamedArrays`.
    """

    path: str
    format: Format
    arrays: dict[str, np.ndarray]
    ignored: tuple[str, ...]
    metadata: dict
    selected: str = ""


def read_checkpoint(path: str | os.PathLike) -> ResNetCheckpoint:
    """Read the weights of a residual network.

    Args:
        path: Caffe2 `.pkl`, SlowFast `.pyth` or `.pkl`, pytorchvideo
            `.pyth`, mmaction2 or torchvision `.pth`, Keras `.h5`,
            `.weights.h5` or `.keras`; or `.safetensors` with the names of any
            of these or of Hugging Face's ResNet.

    Raises:
        CheckpointError: the file is damaged, would run code, or has the
            weights of another kind of network.
        OSError: the file cannot be opened.
    """
    path = os.path.expanduser(os.fspath(path))
    with open_checkpoint(path) as file:
        budget = MemoryBudget(os.fstat(file.fileno()).st_size)
        content = _read_content(file, budget)
        stored_metadata = None
        if isinstance(content, dict):
            stored_metadata = content.get(architecture_metadata.KEY)
        selection = state_dicts.select(content, _has_format, budget)
        arrays = _to_numpy(selection.values, budget)
        file_format = _format_of(arrays, selection.keys)
        ignored = [
            n for n in arrays if re.fullmatch(file_format.ignored_pattern, n)
        ]
        for name in ignored:
            del arrays[name]
        if file_format.name == "slowfast":  # sub-batch normalization
            arrays = {n.replace("bn.bn.", "bn."): a for n, a in arrays.items()}
        check_finite(arrays)
        metadata = architecture_metadata.loads(stored_metadata)
    return ResNetCheckpoint(
        path,
        file_format,
        arrays,
        (*ignored, *selection.ignored),
        metadata,
        selection.description(),
    )


def read_named_arrays(
    path: str | os.PathLike, is_network: state_dicts.IsNetwork
) -> NamedArrays:
    """Read the arrays of any kind of network.

    Args:
        path: a file in one of the formats of `read_checkpoint`.
        is_network: tells if a collection of names is that of a network.

    Raises:
        CheckpointError: the file is damaged or would run code.
        OSError: the file cannot be opened.
    """
    with open_checkpoint(path) as file:
        budget = MemoryBudget(os.fstat(file.fileno()).st_size)
        content = _read_content(file, budget)
        selection = state_dicts.select(content, is_network, budget)
        return NamedArrays(
            os.fspath(path),
            _to_numpy(selection.values, budget),
            selection.description(),
            selection.ignored,
            selection.keys,
        )


@contextlib.contextmanager
def open_checkpoint(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open a file; a CheckpointError of the block gets the path as prefix.

    Raises:
        CheckpointError: the file is empty or no regular file, or the block
            raised it.
        OSError: the file cannot be opened.
    """
    path = os.path.expanduser(path)
    if os.path.isdir(path):
        raise CheckpointError(
            f"{os.fspath(path)}: Expected a file. Received a folder, such as "
            "of nl.from_pretrained, or of a run (--set model.weights=FOLDER)."
        )
    with open(path, "rb", opener=_open_nonblocking) as file:
        try:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise CheckpointError(
                    "Expected a file. Received a FIFO, a socket or a device."
                )
            if not status.st_size:
                raise CheckpointError("The file is empty.")
            yield file
        except CheckpointError as error:
            raise CheckpointError(f"{os.fspath(path)}: {error}") from error


def _open_nonblocking(path: str, flags: int) -> int:
    """Open a path; do not wait for a writer if it is a FIFO."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def map_file(file: BinaryIO) -> mmap.mmap:
    """Map a file to memory, so that no read allocates more than its size."""
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _read_content(file: BinaryIO, budget: MemoryBudget) -> Any:
    """Return the object that was saved, in any format."""
    with map_file(file) as content:
        start = content[:64]
        if hdf5.is_hdf5(start):
            return _read_hdf5(file, budget)
        if pytorch.is_archive(start):
            keras_weights = hdf5.open_keras_archive(file, budget)
            if keras_weights is not None:
                return _read_hdf5(keras_weights, budget)
        if pytorch.is_archive(start) or pytorch.is_legacy(start):
            return pytorch.read(file, content, budget)
        if safetensors.is_safetensors(start):
            return _with_metadata(*safetensors.read(content, budget))
        file_signatures.check(content)
        try:
            return pickles.load(content, budget=budget)
        except CheckpointError as error:
            text = start.decode("ascii", "replace")
            if all(
                c.isascii() and (c.isprintable() or c.isspace()) for c in text
            ):
                raise CheckpointError(
                    "The file is text, such as a web page in place of a "
                    f"download. It begins with {text[:20]!r}."
                ) from error
            raise


def _read_hdf5(file: BinaryIO, budget: MemoryBudget) -> dict:
    key = architecture_metadata.KEY
    metadata = {key: hdf5.read_attribute(file, key)}
    return _with_metadata(hdf5.read(file, budget), metadata)


def _with_metadata(arrays: dict, metadata: Mapping[str, object]) -> dict:
    """Return content as that of pickles of `save_weights`."""
    key = architecture_metadata.KEY
    return {"state_dict": arrays, key: metadata.get(key)}


def _to_numpy(values: state_dicts.Values, budget: MemoryBudget) -> dict:
    """Convert the arrays of a state dict to NumPy."""
    arrays = {}
    for name, value in values.items():
        if isinstance(value, (PickledArray, pytorch.TorchTensor)):
            with as_checkpoint_error(f"The array {name[:80]!r}"):
                value = value.to_numpy(budget)
        arrays[name] = np.asarray(value)
    return arrays


def check_finite(arrays: Mapping[str, np.ndarray]) -> None:
    """Raise a CheckpointError unless all arrays are floating and finite."""
    for name, array in arrays.items():
        if not array.size:
            raise CheckpointError(f"The array {name[:80]!r} is empty.")
        if array.dtype.kind != "f":
            raise CheckpointError(
                f"Expected a floating-point array {name!r}. "
                f"Received: {array.dtype}"
            )
        with np.errstate(over="ignore"):
            is_finite = np.isfinite(array.astype("float32", copy=False)).all()
        if not is_finite:
            raise CheckpointError(
                f"{name!r} has values that are not finite in float32. Did "
                "training diverge?"
            )


def _has_format(names: Collection[str]) -> bool:
    return any(file_format.matches(names) for file_format in FORMATS.values())


def _check_statistics(
    arrays: Mapping[str, np.ndarray], file_format: Format
) -> None:
    """Raise a CheckpointError for group normalization in a ResNet.

    It has the names of batch normalization, but no statistics.
    """
    norm = Weight("stem", is_norm=True)
    gamma, mean = (
        file_format.names(dataclasses.replace(norm, role=role))
        for role in ("gamma", "moving_mean")
    )
    if any(n in arrays for n in gamma) and not any(n in arrays for n in mean):
        raise CheckpointError(
            f"Expected batch normalization with {mean[0]!r}. Received a "
            "normalization without statistics, such as the group normalization "
            "of timm's resnet50_gn. Give a plain ResNet-50 or -101."
        )


def _format_of(arrays: Mapping[str, np.ndarray], keys: str) -> Format:
    unsupported_networks.check(arrays)
    for file_format in FORMATS.values():
        if file_format.matches(arrays):
            break
    else:
        if arrays and all("/" in name for name in arrays):
            return FORMATS["nonlocal_tf"]  # variable paths of another network
        first = ", ".join(name[:80] for name in list(arrays)[:3])
        raise CheckpointError(
            "Expected the weights of a residual network of bottleneck blocks "
            f"from {', '.join(FORMATS)}. Received {len(arrays)} arrays, such "
            f"as: {first or 'none'}. The file has the keys: {keys}"
        )
    if file_format.name in ("torchvision", "huggingface"):
        _check_statistics(arrays, file_format)
    return file_format
