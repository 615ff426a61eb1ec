"""Opens a file of weights and says what it is."""

import dataclasses
import os
import re

import numpy as np

from nonlocal_tf.weights import hdf5, pickles, pytorch
from nonlocal_tf.weights.errors import CheckpointError
from nonlocal_tf.weights.names import FORMATS, Format

# Where training frameworks keep the weights among other things.
INSIDE = ("blobs", "model_state", "state_dict")


@dataclasses.dataclass
class Checkpoint:
    """The weights of a file.

    Attributes:
        path: of the file.
        form: its format.
        arrays: by the names of the file.
        ignored: names in the file that are not weights of a network.
    """

    path: str
    form: Format
    arrays: dict[str, np.ndarray]
    ignored: tuple[str, ...]


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
    path = os.fspath(path)
    try:
        arrays = _numbers(_open(path))
        form = _format_of(arrays)
        ignored = [n for n in arrays if re.fullmatch(form.ignored, n)]
        for name in ignored:
            del arrays[name]
        if form.name == "slowfast":  # sub-batch statistics, by another name
            arrays = {n.replace("bn.bn.", "bn."): a for n, a in arrays.items()}
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return Checkpoint(path, form, arrays, tuple(ignored))


def _open(path: str) -> dict:
    """The dictionary of a file, whatever else is in it."""
    with open(path, "rb") as file:
        start = file.read(64)
        file.seek(0)
        if not start:
            raise CheckpointError("The file is empty.")
        if hdf5.is_hdf5(start):
            return dict(hdf5.read(file))
        if pytorch.is_archive(start):
            within = hdf5.in_keras_archive(file)
            if within is not None:
                return dict(hdf5.read(within))
            file.seek(0)
            return pytorch.read(file)
        if pytorch.is_legacy(start):
            return pytorch.read(file)
        return pickles.with_arrays(pickles.load(file))


def _numbers(saved) -> dict[str, np.ndarray]:
    """Names and arrays, wherever they are in what was saved."""
    for key in INSIDE:
        if isinstance(saved, dict) and isinstance(saved.get(key), dict):
            saved = saved[key]
            break
    if not isinstance(saved, dict):
        raise CheckpointError(
            "Expected a dictionary of weights. "
            f"Received: {type(saved).__name__}"
        )
    return {
        str(name).removeprefix("module."): np.asarray(value)
        for name, value in saved.items()
        if isinstance(value, (np.ndarray, np.generic, int, float))
    }


def _format_of(arrays: dict[str, np.ndarray]) -> Format:
    for form in FORMATS.values():
        if all(mark in arrays for mark in form.marks):
            break
    else:
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
