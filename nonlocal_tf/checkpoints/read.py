"""Opens a file of weights and says what it is."""

import contextlib
import dataclasses
import mmap
import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from nonlocal_tf.checkpoints import architecture_metadata
from nonlocal_tf.checkpoints.errors import CheckpointError, damaged
from nonlocal_tf.checkpoints.formats import FORMATS, Format
from nonlocal_tf.checkpoints.readers import (
    file_signatures,
    hdf5,
    pickles,
    pytorch,
    state_dicts,
)
from nonlocal_tf.checkpoints.size_limits import Budget


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
        selected: which of several dictionaries of weights it is, "" if the
            file has one.
    """

    path: str
    form: Format
    arrays: dict[str, np.ndarray]
    ignored: tuple[str, ...]
    graph: dict
    selected: str = ""


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
        noted = (
            saved.get(architecture_metadata.NOTE)
            if isinstance(saved, dict)
            else None
        )
        selection = state_dicts.select(saved, _has_format, budget)
        arrays = _arrays(selection.values, budget)
        form = _format_of(arrays, selection.keys)
        ignored = [n for n in arrays if re.fullmatch(form.ignored, n)]
        for name in ignored:
            del arrays[name]
        if form.name == "slowfast":  # sub-batch statistics, by another name
            arrays = {n.replace("bn.bn.", "bn."): a for n, a in arrays.items()}
        check_numbers(arrays)
        known = architecture_metadata.read_note(noted)
    return Checkpoint(
        path,
        form,
        arrays,
        (*ignored, *selection.ignored),
        known,
        selection.choice(),
    )


@dataclasses.dataclass(frozen=True)
class NamedArrays:
    """The arrays of a file.

    Attributes:
        path: of the file.
        arrays: by the names of the file.
        selected: as of `Checkpoint`.
        ignored: names that are not weights of a network.
        keys: what the file has, for messages.
    """

    path: str
    arrays: Mapping[str, np.ndarray]
    selected: str = ""
    ignored: tuple[str, ...] = ()
    keys: str = ""


def read_arrays(
    path: str | os.PathLike, is_known: state_dicts.IsKnown
) -> NamedArrays:
    """Reads the arrays of a network of whatever kind.

    Args:
        path: as of `read`.
        is_known: whether a network has such names.

    Raises:
        CheckpointError: the file is damaged or asks to run code.
        OSError: it cannot be opened.
    """
    with opened(path) as file:
        budget = Budget(os.fstat(file.fileno()).st_size)
        selection = state_dicts.select(_saved(file, budget), is_known, budget)
        return NamedArrays(
            os.fspath(path),
            _arrays(selection.values, budget),
            selection.choice(),
            selection.ignored,
            selection.keys,
        )


@contextlib.contextmanager
def opened(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A file that is not empty; errors of what is in it name the file.

    Raises:
        CheckpointError: it is empty or no file, or what the block raises.
        OSError: it cannot be opened.
    """
    with open(os.path.expanduser(path), "rb", opener=_without_waiting) as file:
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


def _without_waiting(path: str, flags: int) -> int:
    """Opens a FIFO too, without waiting for somebody to write into it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def mapped(file: BinaryIO) -> mmap.mmap:
    """The content of a file, whose reads are bounded by what is there."""
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _saved(file: BinaryIO, budget: Budget) -> Any:
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


def _saved_by_keras(file: BinaryIO, budget: Budget) -> dict:
    note = hdf5.read_note(file, architecture_metadata.NOTE)
    return {
        "state_dict": hdf5.read(file, budget),
        architecture_metadata.NOTE: note,
    }


def _arrays(values: state_dicts.Values, budget: Budget) -> dict:
    """Arrays by name, of what a file has in their place."""
    arrays = {}
    for name, value in values.items():
        if isinstance(value, (pickles.Array, pytorch.Tensor)):
            with damaged(f"The array {name[:80]!r}"):
                value = value.array(budget)
        arrays[name] = np.asarray(value)
    return arrays


def check_numbers(arrays: Mapping[str, np.ndarray]) -> None:
    """Raises a CheckpointError unless all are finite numbers with a point."""
    for name, array in arrays.items():
        if not array.size:
            raise CheckpointError(f"{name[:80]!r} has no numbers.")
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


def _has_format(names: Collection[str]) -> bool:
    return any(
        all(mark in names for mark in form.marks) for form in FORMATS.values()
    )


def _format_of(arrays: Mapping[str, np.ndarray], keys: str) -> Format:
    for form in FORMATS.values():
        if all(mark in arrays for mark in form.marks):
            break
    else:
        if arrays and all("/" in name for name in arrays):
            return FORMATS["ours"]  # another network of ours, or of Keras
        some = ", ".join(name[:80] for name in list(arrays)[:3])
        raise CheckpointError(
            "Expected the weights of a residual network of bottleneck blocks "
            f"from {', '.join(FORMATS)}. Received {len(arrays)} arrays, such "
            f"as: {some or 'none'}. The file has the keys: {keys}"
        )
    if any("pathway1" in name for name in arrays):
        raise CheckpointError(
            "These are the weights of a network with two pathways (SlowFast); "
            "C2D and I3D have one."
        )
    return form
