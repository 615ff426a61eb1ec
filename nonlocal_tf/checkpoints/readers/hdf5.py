"""Weights in HDF5: `.weights.h5` and `.keras` of Keras 3, `.h5` of Keras 2.

HDF5 is a file system within a file: its entries may refer to other files, and
unpack to anything. So a file is checked as a whole before anything of it is
read: every entry is in the file itself and is of plain numbers. Keras does not
compress them; what h5py's gzip has compressed is unpacked by `hdf5_chunks`.
"""

import contextlib
import io
import math
import mmap
import os
from collections.abc import Iterator
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np

from nonlocal_tf.checkpoints.errors import CheckpointError, damaged
from nonlocal_tf.checkpoints.readers import (
    bfloat16,
    hdf5_chunks,
    hdf5_strings,
    zip_archives,
)
from nonlocal_tf.checkpoints.readers.pickles import Content
from nonlocal_tf.checkpoints.size_limits import Budget

# In the order in which Keras numbers them.
ROLES = {
    "norm": ("gamma", "beta", "moving_mean", "moving_variance"),
    "pairwise": ("w_f",),
    "optimizer": (),
    "other": ("kernel", "bias"),
}
IN_KERAS = "model.weights.h5"
BFLOAT16 = "V2"  # as h5py has what HDF5 has not
DEEPEST = 16
# Counted for every group and array, as few have many, and each takes time.
OVERHEAD = 4000
LONGEST_NAME = 1000
LARGEST_ATTRIBUTE = 2**25


def is_hdf5(start: bytes) -> bool:
    """Whether a file that starts so is HDF5."""
    return start.startswith(b"\x89HDF\r\n\x1a\n")


def is_keras_archive(file: BinaryIO, budget: Budget) -> bool:
    """Whether a zip archive is a `.keras` file.

    Raises:
        CheckpointError: the archive is damaged.
    """
    with zip_archives.opened(file, budget) as archive:
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
    budget = budget or Budget()
    with zip_archives.opened(file, budget) as archive:
        if IN_KERAS not in archive.namelist():
            return None
        return io.BytesIO(zip_archives.read(archive, IN_KERAS, budget))


def read(file: BinaryIO, budget: Budget | None = None) -> dict[str, np.ndarray]:
    """All weights, as `{"layer/kernel": array}`, nested layers by their paths.

    Args:
        file: open for reading.
        budget: of the file.

    Raises:
        CheckpointError: the file is damaged, or not one of Keras.
    """
    budget = budget or Budget()
    with _opened(file) as (root, texts):
        _check(root, budget, texts, hdf5_chunks.Scratch(budget))
        group = root.get("model_weights", root)
        if "layer_names" in group.attrs:
            return _read_keras2(group, budget, texts)
        return _read_keras3(root, "", 0, budget, texts)


def check(file: BinaryIO, budget: Budget) -> None:
    """Raises for what Keras should not read, without reading it.

    Args:
        file: open for reading.
        budget: of the file; what is in it is counted.

    Raises:
        CheckpointError: the file is damaged, refers to other files, or unpacks
            to too much, or is compressed, which HDF5 unpacks without bounds.
    """
    with _opened(file) as (root, texts):
        budget.take(_check(root, budget, texts))


def read_note(file: BinaryIO, name: str) -> str | None:
    """What `write_note` wrote, or None.

    Raises:
        CheckpointError: the file is damaged.
    """
    with _opened(file) as (root, texts):
        text = _attribute(root, name, texts)
        return None if text is None else str(text)


def write_note(path: str | os.PathLike, name: str, text: str) -> None:
    """Adds an attribute, which Keras does not look at, to a file."""
    with _h5py().File(path, "r+") as opened:
        opened.attrs[name] = text


def _h5py() -> ModuleType:
    try:
        import h5py  # Keras needs it too
    except ImportError as error:
        raise ImportError(
            "HDF5 files need h5py. Install it with: pip install h5py"
        ) from error
    return h5py


@contextlib.contextmanager
def _opened(file: BinaryIO) -> Iterator[tuple[Any, hdf5_strings.Texts]]:
    """The root of a file, and its texts."""
    with damaged("The HDF5 file"), contextlib.ExitStack() as stack:
        content: Content
        if isinstance(file, io.BytesIO):
            content = file.getvalue()
        else:
            content = stack.enter_context(
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            )
        texts = hdf5_strings.Texts(content)
        yield stack.enter_context(_h5py().File(file, "r"))["/"], texts


def _check(
    group: Any,
    budget: Budget,
    texts: hdf5_strings.Texts,
    scratch: hdf5_chunks.Scratch | None = None,
    depth: int = 0,
) -> int:
    """Checks everything below a group; returns its bytes of numbers.

    Args:
        group: of h5py.
        budget: of the file.
        texts: of the file.
        scratch: for compressed chunks; None if none may be compressed.
        depth: of the group.

    Raises:
        CheckpointError: an entry is not in the file itself, or is not of
            plain numbers.
    """
    if depth > DEEPEST:
        raise CheckpointError("The file has groups without end.")
    h5py = _h5py()
    total = 0
    for key in group:
        budget.take(OVERHEAD)
        path = f"{group.name}/{key}"[-100:]
        if len(key) > LONGEST_NAME:
            raise CheckpointError(f"The name of {path!r} has no end.")
        link = group.get(key, getclass=True, getlink=True)
        if link is not h5py.HardLink:
            raise CheckpointError(f"{path!r} refers to other files or entries.")
        entry = group[key]
        if isinstance(entry, h5py.Group):
            total += _check(entry, budget, texts, scratch, depth + 1)
        elif isinstance(entry, h5py.Dataset):
            _check_dataset(entry, path, budget, texts, scratch)
            total += entry.nbytes
        else:
            raise CheckpointError(f"{path!r} is neither a group nor an array.")
    return total


def _check_dataset(
    data: Any,
    path: str,
    budget: Budget,
    texts: hdf5_strings.Texts,
    scratch: hdf5_chunks.Scratch | None,
) -> None:
    if data.external or data.is_virtual:
        raise CheckpointError(f"{path!r} refers to other files.")
    # Keras reads it too.
    is_bfloat16 = _attribute(data, "dtype", texts) == "bfloat16"
    if data.dtype.kind not in "fiub" and not (
        is_bfloat16 and data.dtype == BFLOAT16
    ):
        raise CheckpointError(f"{path!r} is not of numbers: {data.dtype}")
    # A filter unpacks a stored chunk to whatever it says.
    if hdf5_chunks.filters_of(data):
        if scratch is None:
            raise CheckpointError(
                f"{path!r} is compressed, which Keras does not do. Unpack the "
                "file with: h5repack -f NONE FILE UNPACKED"
            )
        if data.id.get_type() != _h5py().h5t.py_create(data.dtype):
            raise CheckpointError(
                f"{path!r} is compressed, and its numbers have a layout that "
                "NumPy has not. Unpack the file with: h5repack -f NONE FILE "
                "UNPACKED"
            )
        hdf5_chunks.check(data, path, scratch)
    elif data.chunks is not None:
        budget.take(math.prod(data.chunks) * data.dtype.itemsize)


def _attribute(entry: Any, name: str, texts: hdf5_strings.Texts) -> Any:
    """An attribute: a text, a list of texts, or what else it is; or None.

    Args:
        entry: that has it.
        name: of the attribute.
        texts: of the file.

    Raises:
        CheckpointError: it is too long.
    """
    if name not in entry.attrs:
        return None
    attribute = entry.attrs.get_id(name)
    if attribute.dtype.kind == "O":
        h5py = _h5py()
        if h5py.check_string_dtype(attribute.dtype) is None:
            raise CheckpointError(f"The attribute {name!r} is no text.")
        address = h5py.h5o.get_info(entry.id).addr
        values = texts.of_attribute(address, name)
        return values if attribute.shape else values[0]
    size = math.prod(attribute.shape) * attribute.dtype.itemsize
    if size > LARGEST_ATTRIBUTE:
        raise CheckpointError(f"The attribute {name!r} has no end.")
    return entry.attrs[name]


def _read_keras3(
    group: Any,
    parent: str,
    depth: int,
    budget: Budget,
    texts: hdf5_strings.Texts,
) -> dict[str, np.ndarray]:
    """Of a group and those in it: each layer has a group `vars`."""
    found: dict[str, np.ndarray] = {}
    name = parent
    if "vars" in group:
        own = str(_attribute(group["vars"], "name", texts) or "")
        name = f"{parent}/{own[:LONGEST_NAME]}" if parent else own
        if depth == 0:  # the model itself
            name = ""
        elif group.name == "/optimizer":  # of a model that was compiled
            name = "optimizer"
        for index, key in enumerate(sorted(group["vars"], key=int)):
            path = f"{name}/{_role(name, index)}"
            found[path] = _array(group["vars"][key], path, budget)
    for key in group:
        below = group.get(key, getclass=True)
        if key != "vars" and below is type(group["/"]):
            found.update(
                _read_keras3(group[key], name, depth + 1, budget, texts)
            )
    return found


def _array(data: Any, path: str, budget: Budget) -> np.ndarray:
    is_bfloat16 = data.dtype == BFLOAT16
    budget.take((3 if is_bfloat16 else 1) * data.nbytes + len(path))
    if hdf5_chunks.filters_of(data):
        array = hdf5_chunks.read(data, path, budget)
    else:
        array = np.asarray(data)
    return bfloat16.to_float32(array.view("<u2")) if is_bfloat16 else array


def _role(layer: str, index: int) -> str:
    last = layer.rsplit("/", 1)[-1].rsplit("_", 1)[-1]
    kind = "norm" if last in ("bn", "affine") else last
    roles = ROLES.get(kind, ROLES["other"])
    return roles[index] if index < len(roles) else str(index)


def _read_keras2(
    opened: Any, budget: Budget, texts: hdf5_strings.Texts
) -> dict[str, np.ndarray]:
    found = {}
    for layer in _attribute(opened, "layer_names", texts):
        group = opened[layer]
        for name in _attribute(group, "weight_names", texts):
            text = name.decode() if isinstance(name, bytes) else str(name)
            own = "/".join(text.split(":")[0].split("/")[-2:])
            found[own] = _array(group[name], own, budget)
    return found
