"""Weights in HDF5: `.weights.h5` and `.keras` of Keras 3, `.h5` of Keras 2.

HDF5 files are untrusted: entries can refer to other files and decompress to
any size. The whole file is checked before anything is read: every entry is in
the file itself and numeric. Keras does not compress them; `hdf5_chunks` reads
files that were compressed with h5py's gzip.
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

from nonlocal_tf.checkpoints.errors import CheckpointError, as_checkpoint_error
from nonlocal_tf.checkpoints.readers import hdf5_chunks, zip_archives
from nonlocal_tf.checkpoints.readers.hdf5_strings import StringTable
from nonlocal_tf.checkpoints.size_limits import MemoryBudget
from nonlocal_tf.typing import FileContent

# Variables of a layer, in the order in which Keras numbers them.
ROLES = {
    "norm": ("gamma", "beta", "moving_mean", "moving_variance"),
    "pairwise": ("w_f",),
    "gate": ("gamma",),
    "position": ("time", "height", "width"),
    "optimizer": (),
    "default": ("kernel", "bias"),
}
WEIGHTS_ENTRY = "model.weights.h5"
BFLOAT16 = "V2"  # h5py's dtype of Keras' bfloat16
MAX_DEPTH = 16
# Bytes charged per group and array, since each takes time.
ENTRY_OVERHEAD = 4000
MAX_NAME_LENGTH = 1000
MAX_ATTRIBUTE_BYTES = 2**25


def is_hdf5(start: bytes) -> bool:
    """Tell if a file with these first bytes is HDF5."""
    return start.startswith(b"\x89HDF\r\n\x1a\n")


def is_keras_archive(file: BinaryIO, budget: MemoryBudget) -> bool:
    """Tell if a zip archive is a `.keras` file.

    Raises:
        CheckpointError: the archive is damaged.
    """
    with zip_archives.open_archive(file, budget) as archive:
        return WEIGHTS_ENTRY in archive.namelist()


def open_keras_archive(
    file: BinaryIO, budget: MemoryBudget | None = None
) -> io.BytesIO | None:
    """Return the HDF5 file in a `.keras` file; None for other archives.

    Args:
        file: a file open for reading.
        budget: budget of the file.

    Raises:
        CheckpointError: the archive is damaged, or decompresses to too much.
    """
    budget = budget or MemoryBudget()
    with zip_archives.open_archive(file, budget) as archive:
        if WEIGHTS_ENTRY not in archive.namelist():
            return None
        content = zip_archives.read_entry(archive, WEIGHTS_ENTRY, budget)
        return io.BytesIO(content)


def read(
    file: BinaryIO, budget: MemoryBudget | None = None
) -> dict[str, np.ndarray]:
    """Read all weights, `{"layer/kernel": array}`, by paths of nested layers.

    Args:
        file: a file open for reading.
        budget: budget of the file.

    Raises:
        CheckpointError: the file is damaged, or not one of Keras.
    """
    budget = budget or MemoryBudget()
    with _open(file) as (root, strings):
        _check(root, budget, strings, hdf5_chunks.ChunkBuffer(budget))
        group = root.get("model_weights", root)
        if "layer_names" in group.attrs:
            return _read_keras2(group, budget, strings)
        return _read_keras3(root, "", 0, budget, strings)


def check(file: BinaryIO, budget: MemoryBudget) -> None:
    """Check that a file is safe to be loaded by Keras.

    Args:
        file: a file open for reading.
        budget: budget of the file, charged with its arrays.

    Raises:
        CheckpointError: the file is damaged, refers to other files, is too
            large, or is compressed, which HDF5 decompresses without limit.
    """
    with _open(file) as (root, strings):
        budget.reserve(_check(root, budget, strings))


def read_attribute(file: BinaryIO, name: str) -> str | None:
    """Return an attribute of the root group, or None if it is missing.

    Raises:
        CheckpointError: the file is damaged.
    """
    with _open(file) as (root, strings):
        text = _attribute(root, name, strings)
        return None if text is None else str(text)


def write_attribute(path: str | os.PathLike, name: str, text: str) -> None:
    """Add an attribute to the root group; Keras ignores it."""
    with _h5py().File(path, "r+") as file:
        file.attrs[name] = text


def _h5py() -> ModuleType:
    try:
        import h5py  # Keras needs it too
    except ImportError as error:
        raise ImportError(
            "HDF5 files need h5py. Install it with: pip install h5py"
        ) from error
    return h5py


@contextlib.contextmanager
def _open(file: BinaryIO) -> Iterator[tuple[Any, StringTable]]:
    """Open a file; yield its root group and its strings."""
    with as_checkpoint_error("The HDF5 file"), contextlib.ExitStack() as stack:
        content: FileContent
        if isinstance(file, io.BytesIO):
            content = file.getvalue()
        else:
            content = stack.enter_context(
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            )
        strings = StringTable(content)
        yield stack.enter_context(_h5py().File(file, "r"))["/"], strings


def _check(
    group: Any,
    budget: MemoryBudget,
    strings: StringTable,
    buffer: hdf5_chunks.ChunkBuffer | None = None,
    depth: int = 0,
) -> int:
    """Check everything below a group; return the bytes of its arrays.

    Args:
        group: an h5py group.
        budget: budget of the file.
        strings: strings of the file.
        buffer: buffer for compressed chunks; None to refuse compression.
        depth: depth of the group.

    Raises:
        CheckpointError: an entry is not in the file itself, or not numeric.
    """
    if depth > MAX_DEPTH:
        raise CheckpointError("The file has endlessly nested groups.")
    h5py = _h5py()
    total = 0
    for key in group:
        budget.reserve(ENTRY_OVERHEAD)
        path = f"{group.name}/{key}"[-100:]
        if len(key) > MAX_NAME_LENGTH:
            raise CheckpointError(f"The name of {path!r} is too long.")
        link = group.get(key, getclass=True, getlink=True)
        if link is not h5py.HardLink:
            raise CheckpointError(f"{path!r} refers to other files or entries.")
        entry = group[key]
        if isinstance(entry, h5py.Group):
            total += _check(entry, budget, strings, buffer, depth + 1)
        elif isinstance(entry, h5py.Dataset):
            _check_dataset(entry, path, budget, strings, buffer)
            total += entry.nbytes
        else:
            raise CheckpointError(f"{path!r} is neither a group nor an array.")
    return total


def _check_dataset(
    data: Any,
    path: str,
    budget: MemoryBudget,
    strings: StringTable,
    buffer: hdf5_chunks.ChunkBuffer | None,
) -> None:
    if data.external or data.is_virtual:
        raise CheckpointError(f"{path!r} refers to other files.")
    # Keras reads this attribute too.
    is_bfloat16 = _attribute(data, "dtype", strings) == "bfloat16"
    if data.dtype.kind not in "fiub" and not (
        is_bfloat16 and data.dtype == BFLOAT16
    ):
        raise CheckpointError(f"{path!r} is not numeric: {data.dtype}")
    # HDF5's filters decompress without limit.
    if hdf5_chunks.filters_of(data):
        if buffer is None:
            raise CheckpointError(
                f"{path!r} is compressed, which Keras does not do. Decompress "
                "the file with: h5repack -f NONE FILE NEW_FILE"
            )
        if data.id.get_type() != _h5py().h5t.py_create(data.dtype):
            raise CheckpointError(
                f"{path!r} is compressed and has a type that NumPy lacks. "
                "Decompress the file with: h5repack -f NONE FILE NEW_FILE"
            )
        hdf5_chunks.check(data, path, buffer)
    elif data.chunks is not None:
        budget.reserve(math.prod(data.chunks) * data.dtype.itemsize)


def _attribute(entry: Any, name: str, strings: StringTable) -> Any:
    """Read an attribute: a string, a list of strings, another value, or None.

    Args:
        entry: an h5py group or dataset.
        name: name of the attribute.
        strings: strings of the file.

    Raises:
        CheckpointError: it is too long.
    """
    if name not in entry.attrs:
        return None
    attribute = entry.attrs.get_id(name)
    if attribute.dtype.kind == "O":
        h5py = _h5py()
        if h5py.check_string_dtype(attribute.dtype) is None:
            raise CheckpointError(f"The attribute {name!r} is no string.")
        address = h5py.h5o.get_info(entry.id).addr
        values = strings.read_attribute(address, name)
        return values if attribute.shape else values[0]
    size = math.prod(attribute.shape) * attribute.dtype.itemsize
    if size > MAX_ATTRIBUTE_BYTES:
        raise CheckpointError(f"The attribute {name!r} is too long.")
    return entry.attrs[name]


def _read_keras3(
    group: Any,
    parent: str,
    depth: int,
    budget: MemoryBudget,
    strings: StringTable,
) -> dict[str, np.ndarray]:
    """Read the variables of a group: each layer has a group `vars`."""
    arrays: dict[str, np.ndarray] = {}
    name = parent
    if "vars" in group:
        layer = str(_attribute(group["vars"], "name", strings) or "")
        layer = layer[:MAX_NAME_LENGTH]
        name = f"{parent}/{layer}" if parent else layer
        if depth == 0:  # the model itself
            name = ""
        elif group.name == "/optimizer":  # of a compiled model
            name = "optimizer"
        for index, key in enumerate(sorted(group["vars"], key=int)):
            path = f"{name}/{_role(name, index)}"
            arrays[path] = _array(group["vars"][key], path, budget)
    for key in group:
        kind = group.get(key, getclass=True)
        if key != "vars" and kind is type(group["/"]):
            arrays.update(
                _read_keras3(group[key], name, depth + 1, budget, strings)
            )
    return arrays


def _array(data: Any, path: str, budget: MemoryBudget) -> np.ndarray:
    is_bfloat16 = data.dtype == BFLOAT16
    budget.reserve((3 if is_bfloat16 else 1) * data.nbytes + len(path))
    if hdf5_chunks.filters_of(data):
        array = hdf5_chunks.read(data, path, budget)
    else:
        array = np.asarray(data)
    return array.view("bfloat16").astype("float32") if is_bfloat16 else array


def _role(layer: str, index: int) -> str:
    suffix = layer.rsplit("/", 1)[-1].rsplit("_", 1)[-1]
    kind = "norm" if suffix in ("bn", "affine") else suffix
    roles = ROLES.get(kind, ROLES["default"])
    return roles[index] if index < len(roles) else str(index)


def _read_keras2(
    root: Any, budget: MemoryBudget, strings: StringTable
) -> dict[str, np.ndarray]:
    arrays = {}
    for layer in _attribute(root, "layer_names", strings):
        group = root[layer]
        for name in _attribute(group, "weight_names", strings):
            text = name.decode() if isinstance(name, bytes) else str(name)
            path = "/".join(text.split(":")[0].split("/")[-2:])
            arrays[path] = _array(group[name], path, budget)
    return arrays
