"""Weights in HDF5: `.weights.h5` and `.keras` of Keras 3, `.h5` of Keras 2."""

import io
import zipfile
from typing import BinaryIO

import numpy as np

from nonlocal_tf.weights.errors import CheckpointError

# In the order in which Keras numbers them.
ROLES = {
    "norm": ("gamma", "beta", "moving_mean", "moving_variance"),
    "pairwise": ("w_f",),
    "other": ("kernel", "bias"),
}
IN_KERAS = "model.weights.h5"


def is_hdf5(start: bytes) -> bool:
    """Whether a file that starts so is HDF5."""
    return start.startswith(b"\x89HDF\r\n\x1a\n")


def in_keras_archive(file: BinaryIO) -> BinaryIO | None:
    """The weights within a `.keras` file, or None if it is none."""
    try:
        with zipfile.ZipFile(file) as archive:
            if IN_KERAS not in archive.namelist():
                return None
            return io.BytesIO(archive.read(IN_KERAS))
    except (zipfile.BadZipFile, OSError) as error:
        raise CheckpointError(
            f"The archive is damaged or cut off: {error}"
        ) from error


def read(file: BinaryIO) -> dict[str, np.ndarray]:
    """All weights, as `{"layer/kernel": array}`, nested layers by their paths.

    Raises:
        CheckpointError: the file is damaged, or not one of Keras.
    """
    try:
        import h5py  # Keras needs it too
    except ImportError as error:
        raise ImportError(
            "HDF5 files need h5py. Install it with: pip install h5py"
        ) from error
    try:
        with h5py.File(file, "r") as opened:
            if "layer_names" in opened.attrs:
                return _read_keras2(opened)
            return _read_keras3(opened, "", "")
    except (OSError, KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"The file is damaged, cut off, or not one of Keras: {error}"
        ) from error


def _read_keras3(group, path: str, parent: str) -> dict[str, np.ndarray]:
    """Of a group and those in it: each layer has a group `vars`."""
    found: dict[str, np.ndarray] = {}
    name = parent
    if "vars" in group:
        own = group["vars"].attrs.get("name", "")
        name = f"{parent}/{own}" if parent else str(own)
        if path.count("/") == 0:  # the model itself
            name = ""
        for index, key in enumerate(sorted(group["vars"], key=int)):
            found[f"{name}/{_role(name, index)}"] = np.asarray(
                group["vars"][key]
            )
    for key in group:
        if key != "vars" and hasattr(group[key], "keys"):
            found.update(_read_keras3(group[key], f"{path}/{key}", name))
    return found


def _role(layer: str, index: int) -> str:
    last = layer.rsplit("/", 1)[-1].rsplit("_", 1)[-1]
    kind = "norm" if last in ("bn", "affine") else last
    roles = ROLES.get(kind, ROLES["other"])
    return roles[index] if index < len(roles) else str(index)


def _read_keras2(opened) -> dict[str, np.ndarray]:
    found = {}
    for layer in opened.attrs["layer_names"]:
        group = opened[layer]
        for name in group.attrs["weight_names"]:
            text = name.decode() if isinstance(name, bytes) else str(name)
            own = text.split(":")[0].split("/")[-2:]
            found["/".join(own)] = np.asarray(group[name])
    return found
