"""Weights in HDF5: `.weights.h5` and `.keras` of Keras 3, `.h5` of Keras 2.

HDF5 is a file system within a file: its entries may refer to other files, and
unpack to anything. So a file is checked as a whole before anything of it is
read: every entry is in the file itself and is of plain numbers, which are not
compressed, as Keras writes them.
"""

import io
import math
import mmap
import struct
from typing import BinaryIO

import numpy as np

from nonlocal_tf.weights import bfloat16, zips
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
# Counted for every group and array, as few have many, and each takes time.
OVERHEAD = 4000
LONGEST_NAME = 1000
LARGEST_ATTRIBUTE = 2**25
# Begins a part of a file that has texts of any length. Its size follows, and
# then each text, after a header of its own; 0 numbers what is free.
HEAP = b"GCOL\x01\0\0\0"
HEADER, WIDTH = 16, 8
MOST_TEXTS = 200_000


def is_hdf5(start: bytes) -> bool:
    """Whether a file that starts so is HDF5."""
    return start.startswith(b"\x89HDF\r\n\x1a\n")


def is_keras_archive(file: BinaryIO, budget: Budget) -> bool:
    """Whether a zip archive is a `.keras` file.

    Raises:
        CheckpointError: the archive is damaged.
    """
    with zips.opened(file, budget) as archive:
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
    with zips.opened(file, budget) as archive:
        if IN_KERAS not in archive.namelist():
            return None
        return io.BytesIO(zips.read(archive, IN_KERAS, budget))


def read(file: BinaryIO, budget: Budget | None = None) -> dict[str, np.ndarray]:
    """All weights, as `{"layer/kernel": array}`, nested layers by their paths.

    Args:
        file: open for reading.
        budget: of the file.

    Raises:
        CheckpointError: the file is damaged, or not one of Keras.
    """
    budget = budget or Budget()
    largest = _largest_text(file)
    with damaged("The HDF5 file"), _h5py().File(file, "r") as opened:
        _check(opened, budget)
        group = opened.get("model_weights", opened)
        if "layer_names" in group.attrs:
            return _read_keras2(group, budget, largest)
        return _read_keras3(opened, "", 0, budget, largest)


def check(file: BinaryIO, budget: Budget) -> None:
    """Raises for what Keras should not read, without reading it.

    Args:
        file: open for reading.
        budget: of the file; what is in it is counted.

    Raises:
        CheckpointError: the file is damaged, refers to other files, or unpacks
            to too much.
    """
    with damaged("The HDF5 file"), _h5py().File(file, "r") as opened:
        budget.take(_check(opened, budget))


def read_note(file: BinaryIO, name: str) -> str | None:
    """What `write_note` wrote, or None.

    Raises:
        CheckpointError: the file is damaged.
    """
    largest = _largest_text(file)
    with damaged("The HDF5 file"), _h5py().File(file, "r") as opened:
        text = _attribute(opened, name, largest)
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


def _largest_text(file: BinaryIO) -> int:
    """Bytes of the longest text of a file, whatever refers to it.

    A file may have it once and refer to it from thousands of places. HDF5
    itself reads a damaged list of texts without end.

    Raises:
        CheckpointError: such a list is damaged.
    """
    with damaged("The HDF5 file"):
        if isinstance(file, io.BytesIO):
            return _largest_in_heaps(file.getvalue())
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _largest_in_heaps(content)


def _largest_in_heaps(content: bytes | mmap.mmap) -> int:
    version = content[8]
    widths = content[13:15] if version < 2 else content[9:11]
    if widths != bytes((WIDTH, WIDTH)):
        raise CheckpointError("The HDF5 file has sizes that Keras' have not.")
    sizes: list[int] = []
    start = content.find(HEAP)
    while start >= 0:
        (length,) = struct.unpack_from("<Q", content, start + len(HEAP))
        at, end = start + HEADER, start + length
        while at + HEADER <= end:
            number, size = struct.unpack_from("<H6xQ", content, at)
            is_free = number == 0
            at += size if is_free else HEADER + -(-size // WIDTH) * WIDTH
            if is_free and size < HEADER or at > end:
                raise ValueError("a list of texts without an end")
            sizes.append(0 if is_free else size)
            if len(sizes) > MOST_TEXTS:
                raise CheckpointError("The HDF5 file has texts without end.")
        start = content.find(HEAP, start + 1)
    return max(sizes, default=0)


def _check(group, budget: Budget, depth: int = 0) -> int:
    """Checks everything below a group; returns its bytes of numbers.

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
            total += _check(entry, budget, depth + 1)
        elif isinstance(entry, h5py.Dataset):
            _check_dataset(entry, path, budget)
            total += entry.nbytes
        else:
            raise CheckpointError(f"{path!r} is neither a group nor an array.")
    return total


def _check_dataset(data, path: str, budget: Budget) -> None:
    if data.external or data.is_virtual:
        raise CheckpointError(f"{path!r} refers to other files.")
    if data.dtype.kind not in "fiub" and not _is_bfloat16(data):
        raise CheckpointError(f"{path!r} is not of numbers: {data.dtype}")
    # A filter unpacks a stored chunk to whatever it says.
    if data.id.get_create_plist().get_nfilters():
        raise CheckpointError(
            f"{path!r} is compressed, which Keras does not do. Unpack the file "
            "with: h5repack -f NONE FILE UNPACKED"
        )
    if data.chunks is not None:
        budget.take(math.prod(data.chunks) * data.dtype.itemsize)


def _attribute(entry, name: str, largest: int):
    """An attribute, or None; whatever refers to texts is not too long.

    Args:
        entry: that has it.
        name: of the attribute.
        largest: of `_largest_text`.

    Raises:
        CheckpointError: it is too long.
    """
    if name not in entry.attrs:
        return None
    found = entry.attrs.get_id(name)
    count = math.prod(found.shape)
    size = largest if found.dtype.kind == "O" else found.dtype.itemsize
    if count * size > LARGEST_ATTRIBUTE:
        raise CheckpointError(f"The attribute {name!r} has no end.")
    return entry.attrs[name]


def _read_keras3(
    group, parent: str, depth: int, budget: Budget, largest: int
) -> dict[str, np.ndarray]:
    """Of a group and those in it: each layer has a group `vars`."""
    found: dict[str, np.ndarray] = {}
    name = parent
    if "vars" in group:
        own = str(_attribute(group["vars"], "name", largest) or "")
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
                _read_keras3(group[key], name, depth + 1, budget, largest)
            )
    return found


def _is_bfloat16(data) -> bool:
    """Whether Keras wrote numbers of bfloat16, which HDF5 has not."""
    return data.dtype == "V2" and data.attrs.get("dtype") == "bfloat16"


def _array(data, path: str, budget: Budget) -> np.ndarray:
    if _is_bfloat16(data):
        budget.take(3 * data.nbytes + len(path))
        return bfloat16.to_float32(np.asarray(data).view("<u2"))
    budget.take(data.nbytes + len(path))
    return np.asarray(data)


def _role(layer: str, index: int) -> str:
    last = layer.rsplit("/", 1)[-1].rsplit("_", 1)[-1]
    kind = "norm" if last in ("bn", "affine") else last
    roles = ROLES.get(kind, ROLES["other"])
    return roles[index] if index < len(roles) else str(index)


def _read_keras2(opened, budget: Budget, largest: int) -> dict[str, np.ndarray]:
    found = {}
    for layer in _attribute(opened, "layer_names", largest):
        group = opened[layer]
        for name in _attribute(group, "weight_names", largest):
            text = name.decode() if isinstance(name, bytes) else str(name)
            own = "/".join(text.split(":")[0].split("/")[-2:])
            found[own] = _array(group[name], own, budget)
    return found
