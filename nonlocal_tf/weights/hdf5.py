"""Weights in HDF5: `.weights.h5` and `.keras` of Keras 3, `.h5` of Keras 2."""

import io
import zipfile
from typing import BinaryIO

import numpy as np

from nonlocal_tf.weights.budget import Budget
from nonlocal_tf.weights.errors import CheckpointError, damaged

# In the order in which Keras numbers them.
ROLES = {
    "norm": ("gamma", "beta", "moving_mean", "moving_variance"),
    "pairwise": ("w_f",),
    "optimizer": (),
    "other": ("kernel", "bias"),
}
IN_KERAS = "model.weights.h5"
DEEPEST = 16
# Counted for every group and array, as few have many.
OVERHEAD = 1000


def is_hdf5(start: bytes) -> bool:
    """Whether a file that starts so is HDF5."""
    return start.startswith(b"\x89HDF\r\n\x1a\n")


def is_keras_archive(file: BinaryIO) -> bool:
    """Whether a zip archive is a `.keras` file.

    Raises:
        CheckpointError: the archive is damaged.
    """
    with damaged("The archive"), zipfile.ZipFile(file) as archive:
        return IN_KERAS in archive.namelist()


def in_keras_archive(
    file: BinaryIO, budget: Budget | None = None
) -> io.BytesIO | None:
    """The weights within a `.keras` file, or None if it is none.

    Args:
        file: open for reading.
        budget: of the file.

    Raises:
        CheckpointError: the archive is damaged, or unpacks to too much.
    """
    with damaged("The archive"), zipfile.ZipFile(file) as archive:
        if IN_KERAS not in archive.namelist():
            return None
        entry = archive.getinfo(IN_KERAS)
        if entry.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):
            raise CheckpointError(
                f"{IN_KERAS} is compressed as Keras does not."
            )
        (budget or Budget()).take(entry.file_size)
        with archive.open(entry) as content:
            return io.BytesIO(content.read(entry.file_size))


def read(file: BinaryIO, budget: Budget | None = None) -> dict[str, np.ndarray]:
    """All weights, as `{"layer/kernel": array}`, nested layers by their paths.

    Args:
        file: open for reading.
        budget: of the file.

    Raises:
        CheckpointError: the file is damaged, or not one of Keras.
    """
    with damaged("The HDF5 file"):
        budget = budget or Budget()
        with _h5py().File(file, "r") as opened:
            group = opened.get("model_weights", opened)
            if "layer_names" in group.attrs:
                return _read_keras2(group, budget)
            return _read_keras3(opened, "", 0, budget)


def read_note(file: BinaryIO, name: str) -> str | None:
    """What `write_note` wrote, or None.

    Raises:
        CheckpointError: the file is damaged.
    """
    with damaged("The HDF5 file"), _h5py().File(file, "r") as opened:
        text = opened.attrs.get(name)
        return None if text is None else str(text)


def write_note(path, name: str, text: str) -> None:
    """Adds an attribute, which Keras does not look at, to a file."""
    with _h5py().File(path, "r+") as opened:
        opened.attrs[name] = text


def _h5py():
    try:
        import h5py  # Keras needs it too
    except ImportError as error:
        raise ImportError(
            "HDF5 files need h5py. Install it with: pip install h5py"
        ) from error
    return h5py


def _read_keras3(
    group, parent: str, depth: int, budget: Budget
) -> dict[str, np.ndarray]:
    """Of a group and those in it: each layer has a group `vars`."""
    if depth > DEEPEST:
        raise CheckpointError("The file has groups without end.")
    budget.take(OVERHEAD)
    found: dict[str, np.ndarray] = {}
    name = parent
    if "vars" in group:
        own = str(group["vars"].attrs.get("name", ""))
        name = f"{parent}/{own}" if parent else own
        if depth == 0:  # the model itself
            name = ""
        elif group.name == "/optimizer":  # of a model that was compiled
            name = "optimizer"
        for index, key in enumerate(sorted(group["vars"], key=int)):
            path = f"{name}/{_role(name, index)}"
            found[path] = _array(group["vars"], key, path, budget)
    for key in group:
        below = group.get(key, getclass=True)
        if key != "vars" and below is type(group["/"]):
            found.update(_read_keras3(group[key], name, depth + 1, budget))
    return found


def _array(group, key, path, budget: Budget) -> np.ndarray:
    """A dataset that is all within the file."""
    data = group[key]
    if data.external or data.is_virtual:
        raise CheckpointError(f"{path!r} refers to other files.")
    budget.take(OVERHEAD + data.nbytes)
    return np.asarray(data)


def _role(layer: str, index: int) -> str:
    last = layer.rsplit("/", 1)[-1].rsplit("_", 1)[-1]
    kind = "norm" if last in ("bn", "affine") else last
    roles = ROLES.get(kind, ROLES["other"])
    return roles[index] if index < len(roles) else str(index)


def _read_keras2(opened, budget: Budget) -> dict[str, np.ndarray]:
    found = {}
    for layer in opened.attrs["layer_names"]:
        group = opened[layer]
        for name in group.attrs["weight_names"]:
            text = name.decode() if isinstance(name, bytes) else str(name)
            own = "/".join(text.split(":")[0].split("/")[-2:])
            found[own] = _array(group, name, own, budget)
    return found
