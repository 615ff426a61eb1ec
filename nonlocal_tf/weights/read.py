"""Opens a file of weights and says what it is."""

import contextlib
import dataclasses
import mmap
import os
import re
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from nonlocal_tf.weights import graph, hdf5, pickles, pytorch
from nonlocal_tf.weights.budget import Budget
from nonlocal_tf.weights.errors import CheckpointError, damaged
from nonlocal_tf.weights.names import FORMATS, Format

# Where training frameworks keep the weights among other things.
INSIDE = ("blobs", "model_state", "state_dict", "model")


@dataclasses.dataclass
class Checkpoint:
    """The weights of a file.

    Attributes:
        path: of the file.
        form: its format.
        arrays: by the names of the file.
        ignored: names in the file that are not weights of a network.
        graph: what the file says of its network beside the weights; nothing
            if we have not written it.
    """

    path: str
    form: Format
    arrays: dict[str, np.ndarray]
    ignored: tuple[str, ...]
    graph: dict


def read(path: str | os.PathLike) -> Checkpoint:
    """Reads a file of one of the known formats, by its content.

    Args:
        path: Caffe2 `.pkl`, SlowFast `.pyth` or `.pkl`, mmaction2 or
            torchvision `.pth`, Keras `.h5`, `.weights.h5` or `.keras`.

    Raises:
        CheckpointError: the file is damaged, asks to run code, or has the
            weights of another kind of network.
        OSError: it cannot be opened.
    """
    path = os.path.expanduser(os.fspath(path))
    with opened(path) as file:
        budget = Budget(os.fstat(file.fileno()).st_size)
        saved = _saved(file, budget)
        noted = saved.get(graph.NOTE) if isinstance(saved, dict) else None
        arrays = _numbers(saved, budget)
        form = _format_of(arrays)
        ignored = [n for n in arrays if re.fullmatch(form.ignored, n)]
        for name in ignored:
            del arrays[name]
        if form.name == "slowfast":  # sub-batch statistics, by another name
            arrays = {n.replace("bn.bn.", "bn."): a for n, a in arrays.items()}
        _check_numbers(arrays)
        known = graph.read_note(noted)
    return Checkpoint(path, form, arrays, tuple(ignored), known)


def read_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The numbers of a file of whatever network, by their names.

    Args:
        path: as of `read`.

    Raises:
        CheckpointError: the file is damaged or asks to run code.
        OSError: it cannot be opened.
    """
    with opened(path) as file:
        budget = Budget(os.fstat(file.fileno()).st_size)
        return _numbers(_saved(file, budget), budget)


@contextlib.contextmanager
def opened(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A file that is not empty; errors of what is in it name the file.

    Raises:
        CheckpointError: the file is empty, or what the block raises.
        OSError: it cannot be opened.
    """
    with open(os.path.expanduser(path), "rb") as file:
        try:
            if not file.read(1):
                raise CheckpointError("The file is empty.")
            file.seek(0)
            yield file
        except CheckpointError as error:
            raise CheckpointError(f"{os.fspath(path)}: {error}") from error


def mapped(file: BinaryIO) -> mmap.mmap:
    """The content of a file, whose reads are bounded by what is there."""
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _saved(file: BinaryIO, budget: Budget):
    """What was saved, whatever the format."""
    with mapped(file) as content:
        start = content[:64]
        if hdf5.is_hdf5(start):
            return _saved_by_keras(file, budget)
        if pytorch.is_archive(start):
            within = hdf5.in_keras_archive(file, budget)
            if within is not None:
                return _saved_by_keras(within, budget)
        if pytorch.is_archive(start) or pytorch.is_legacy(start):
            return pytorch.read(file, content, budget)
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


def _saved_by_keras(file: BinaryIO, budget: Budget) -> dict:
    note = hdf5.read_note(file, graph.NOTE)
    return {"state_dict": hdf5.read(file, budget), graph.NOTE: note}


def _numbers(saved, budget: Budget) -> dict[str, np.ndarray]:
    """Names and arrays, wherever they are in what was saved."""
    if isinstance(saved, dict):
        inside = (saved.get(key) for key in INSIDE)
        saved = next((one for one in inside if isinstance(one, dict)), saved)
    if not isinstance(saved, dict):
        raise CheckpointError(
            "Expected a dictionary of weights. "
            f"Received: {type(saved).__name__}"
        )
    arrays = {}
    for name, value in saved.items():
        if isinstance(value, (pickles.Array, pytorch.Tensor)):
            with damaged(f"The array {str(name)[:80]!r}"):
                value = value.array()
                budget.take(value.nbytes)
        if isinstance(value, (np.ndarray, np.generic, int, float)):
            text = name.decode("latin1") if isinstance(name, bytes) else name
            arrays[str(text)] = np.asarray(value)
    if all(name.startswith("module.") for name in arrays):
        return {n.removeprefix("module."): a for n, a in arrays.items()}
    return arrays


def _check_numbers(arrays: dict[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        if not array.size:
            raise CheckpointError(f"{name!r} has no numbers.")
        if array.dtype.kind != "f":
            raise CheckpointError(
                f"Expected {name!r} to have numbers with a point. "
                f"Received: {array.dtype}"
            )
        with np.errstate(over="ignore"):
            finite = np.isfinite(array.astype("float32", copy=False)).all()
        if not finite:
            raise CheckpointError(
                f"{name!r} has numbers that are not finite in float32: was its "
                "training broken?"
            )


def _format_of(arrays: dict[str, np.ndarray]) -> Format:
    for form in FORMATS.values():
        if all(mark in arrays for mark in form.marks):
            break
    else:
        if arrays and all("/" in name for name in arrays):
            return FORMATS["ours"]  # another network of ours, or of Keras
        some = ", ".join(list(arrays)[:3])
        raise CheckpointError(
            "Expected the weights of a residual network of bottleneck blocks "
            f"from {', '.join(FORMATS)}. Received {len(arrays)} arrays, such "
            f"as: {some or 'none'}"
        )
    if any("pathway1" in name for name in arrays):
        raise CheckpointError(
            "These are the weights of a network with two pathways (SlowFast); "
            "C2D and I3D have one."
        )
    return form
