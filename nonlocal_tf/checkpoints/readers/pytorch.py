"""Files of `torch.save`, read and written without PyTorch.

Since PyTorch 1.6 they are zip archives of a pickle, `data.pkl`, and one entry
of raw data per storage; before, a sequence of pickles followed by the data.
Both are read with the restricted unpickler of `pickles.py`; archives are
written.
"""

import io
import math
import pickle
import sys
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from nonlocal_tf.checkpoints.errors import CheckpointError, as_checkpoint_error
from nonlocal_tf.checkpoints.readers import pickles, zip_archives
from nonlocal_tf.checkpoints.readers.pickle_arrays import (
    OpaqueObject,
    is_shape,
    rebuild_from_type,
)
from nonlocal_tf.checkpoints.readers.pickles import Global
from nonlocal_tf.checkpoints.size_limits import MemoryBudget
from nonlocal_tf.typing import FileContent

BFLOAT16 = np.dtype("bfloat16")  # of ml_dtypes, which Keras imports
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
# Dtype of each class of storages.
STORAGE_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
    "ComplexFloatStorage": "<c8",
    "ComplexDoubleStorage": "<c16",
}
DTYPES = (
    *("float64", "float32", "float16", "bfloat16"),
    *("int64", "int32", "int16", "int8", "uint8", "bool"),
)
# Expanded tensors have more elements than their storage; weights hardly do.
MAX_EXPANDED = 2**24
MAX_SIZE = 2**48


class _Storage:
    """Flat data of tensors; legacy files have it behind the pickle."""

    def __init__(self, dtype: np.dtype, count: int):
        self.dtype, self.count = dtype, count
        self.values: np.ndarray | None = None

    def fill(self, content: bytes) -> None:
        expected = self.count * self.dtype.itemsize
        if len(content) != expected:
            raise CheckpointError(
                "The file is damaged or cut off: expected a storage of "
                f"{expected} bytes. Received: {len(content)}"
            )
        self.values = np.frombuffer(content, self.dtype)


class TorchTensor:
    """Tensor of a file, before its data is converted."""

    def __init__(
        self,
        storage: Any,
        offset: Any,
        shape: Any,
        strides: Any,
        *ignored: object,
    ):
        self._storage = storage
        self._offset = offset
        self._shape, self._strides = shape, strides

    def to_numpy(self, budget: MemoryBudget | None = None) -> np.ndarray:
        """Return a copy of the tensor as an array.

        Args:
            budget: budget of the file.

        Raises:
            CheckpointError: the tensor exceeds its storage.
        """
        is_storage = isinstance(self._storage, _Storage)
        values = self._storage.values if is_storage else None
        if values is None or not self._fits(values.size):
            raise CheckpointError(
                "The file is damaged: a tensor exceeds its storage."
            )
        dtype = values.dtype
        if dtype == BFLOAT16:  # which NumPy lacks
            dtype = np.dtype(np.float32)
        (budget or MemoryBudget(values.nbytes)).reserve(
            dtype.itemsize * math.prod(self._shape)
        )
        strides = [stride * values.itemsize for stride in self._strides]
        view = np.lib.stride_tricks.as_strided(
            values[self._offset :], self._shape, strides, writeable=False
        )
        return np.array(view, dtype)  # views keep whole storages alive

    def _fits(self, count: int) -> bool:
        """Tell if the tensor is within a storage of `count` elements."""
        shape, strides = self._shape, self._strides
        if not is_shape(shape) or not is_shape(strides):
            return False
        if not is_shape((self._offset,)):
            return False
        if max((self._offset, *shape, *strides)) > MAX_SIZE:
            return False
        if len(shape) != len(strides):
            return False
        size = 1
        last = self._offset
        for n, stride in zip(shape, strides, strict=True):
            size *= n
            last += (n - 1) * stride
        if size == 0:
            return True
        return last < count and size <= max(count, MAX_EXPANDED)


# Stand-ins for globals of PyTorch's pickles.
ALLOWED: dict[tuple[str, str], Any] = {
    **{("torch", name): np.dtype(t) for name, t in STORAGE_DTYPES.items()},
    **{("torch", name): OpaqueObject for name in DTYPES},
    ("torch._utils", "_rebuild_tensor"): TorchTensor,
    ("torch._utils", "_rebuild_tensor_v2"): TorchTensor,
    ("torch._utils", "_rebuild_parameter"): lambda data, *ignored: data,
    ("torch._tensor", "_rebuild_from_type_v2"): rebuild_from_type,
    ("torch.nn.parameter", "Parameter"): OpaqueObject,
    ("torch", "Tensor"): OpaqueObject,
    ("torch", "Size"): lambda sizes=(): sizes,
    ("torch", "device"): OpaqueObject,
}


def is_archive(start: bytes) -> bool:
    """Tell if a file with these first bytes is a zip archive."""
    return start.startswith(b"PK\x03\x04")


def is_legacy(start: bytes) -> bool:
    """Tell if a file with these first bytes is of PyTorch before 1.6."""
    magic = pickle.dumps(LEGACY_MAGIC, protocol=2)[2:-1]
    return start.startswith(pickle.PROTO) and magic in start[:32]


def read(
    file: BinaryIO, content: FileContent, budget: MemoryBudget | None = None
) -> Any:
    """Read the object that was saved, with a `TorchTensor` for each tensor.

    Args:
        file: a file open for reading.
        content: content of the file: a memory map, or bytes of an archive.
        budget: budget of the file.

    Raises:
        CheckpointError: the file is damaged or not one of `torch.save`.
    """
    if is_archive(content[:4]):
        return _read_archive(file, budget or MemoryBudget())
    with as_checkpoint_error("The file"):
        return _read_legacy(content, budget or MemoryBudget())


def _parse_persistent_id(pid: Any) -> tuple[np.dtype, str, int]:
    """Return (dtype, key, number of elements) of a storage."""
    is_valid = (
        isinstance(pid, tuple)
        and len(pid) >= 5
        and pid[0] == "storage"
        and isinstance(pid[1], Global)
        and isinstance(pid[1].stand_in, np.dtype)
        and isinstance(pid[2], (str, int))
        and type(pid[4]) is int
        and 0 <= pid[4] < MAX_SIZE
    )
    if not is_valid:
        raise CheckpointError("The file has an unsupported reference to data.")
    return pid[1].stand_in, str(pid[2]), pid[4]


def _read_archive(file: BinaryIO, budget: MemoryBudget) -> Any:
    with zip_archives.open_archive(file, budget) as archive:
        names = archive.namelist()
        entries = [name for name in names if name.endswith("/data.pkl")]
        if len(entries) != 1:
            first = ", ".join(name[:40] for name in names[:4])
            raise CheckpointError(
                "The file is a zip archive, but not one of torch.save, which "
                "has one data.pkl, nor one of Keras. Unpack it and give the "
                f"weights file in it. Received: {first or 'no entries'}"
            )
        folder = entries[0].removesuffix("data.pkl")
        storages: dict[str, _Storage] = {}

        def read_entry(name: str) -> bytes:
            if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
                raise CheckpointError(f"{name!r} is compressed.")
            return zip_archives.read_entry(archive, name, budget)

        def load_storage(pid: Any) -> _Storage:
            dtype, key, count = _parse_persistent_id(pid)
            if key not in storages:
                storages[key] = _Storage(dtype, count)
                storages[key].fill(read_entry(f"{folder}data/{key}"))
            return storages[key]

        order = f"{folder}byteorder"
        if order in names and read_entry(order) != b"little":
            raise CheckpointError(
                "The file is big-endian, which is unsupported."
            )
        return pickles.load(
            read_entry(entries[0]), ALLOWED, load_storage, budget
        )


def _read_legacy(content: FileContent, budget: MemoryBudget) -> Any:
    if isinstance(content, bytes):
        raise TypeError("Expected a memory map. Received: bytes")
    storages: dict[str, _Storage] = {}

    def load_storage(pid: Any) -> _Storage:
        dtype, key, count = _parse_persistent_id(pid)
        if len(pid) > 5 and pid[5] is not None:
            raise CheckpointError(
                "The file has views of storages, which is unsupported."
            )
        return storages.setdefault(key, _Storage(dtype, count))

    if pickles.load(content, budget=budget) != LEGACY_MAGIC:
        raise CheckpointError("The file is not one of torch.save.")
    pickles.load(content, budget=budget)  # protocol version
    system = pickles.load(content, budget=budget)
    if isinstance(system, dict) and not system.get("little_endian", True):
        raise CheckpointError("The file is big-endian, which is unsupported.")
    saved = pickles.load(content, ALLOWED, load_storage, budget)
    keys = pickles.load(content, budget=budget)
    for key in keys if isinstance(keys, list) else []:
        storage = storages.get(key if isinstance(key, str) else "")
        count = int.from_bytes(content.read(8), "little", signed=True)
        if storage is None or count != storage.count:
            raise CheckpointError("The file is damaged or cut off.")
        data = content.read(count * storage.dtype.itemsize)
        budget.reserve(len(data))
        storage.fill(data)
    return saved


def write(file: BinaryIO, saved: Mapping[str, object]) -> None:
    """Write a file for `torch.load`.

    Args:
        file: a file open for writing.
        saved: strings, numbers and float32 arrays, also in dictionaries.
    """
    arrays: list[np.ndarray] = []
    content = io.BytesIO()
    content.write(pickle.PROTO + b"\x02")
    _put(content, saved, arrays)
    content.write(pickle.STOP)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", content.getvalue())
        archive.writestr("archive/byteorder", sys.byteorder)
        for key, array in enumerate(arrays):
            archive.writestr(f"archive/data/{key}", array.tobytes())
        archive.writestr("archive/version", "3\n")


def _put(out: BinaryIO, value: object, arrays: list[np.ndarray]) -> None:
    """Write the opcodes of a value."""
    if isinstance(value, Mapping):
        out.write(pickle.EMPTY_DICT + pickle.MARK)
        for key, item in value.items():
            _put(out, key, arrays)
            _put(out, item, arrays)
        out.write(pickle.SETITEMS)
    elif isinstance(value, np.ndarray):
        _put_tensor(out, value, arrays)
    else:  # a number or string, without PROTO and STOP
        out.write(pickle.dumps(value, protocol=2)[2:-1])


def _put_tensor(out: BinaryIO, array: np.ndarray, arrays: list) -> None:
    if array.dtype != np.float32:
        raise ValueError(f"Expected float32. Received: {array.dtype}")
    key = str(len(arrays))
    arrays.append(np.asarray(array, order="C"))
    strides = [s // array.itemsize for s in arrays[-1].strides]
    out.write(b"ctorch._utils\n_rebuild_tensor_v2\n" + pickle.MARK)
    out.write(pickle.MARK)
    _put(out, "storage", arrays)
    out.write(b"ctorch\nFloatStorage\n")
    for item in (key, "cpu", array.size):
        _put(out, item, arrays)
    out.write(pickle.TUPLE + pickle.BINPERSID)
    _put(out, 0, arrays)
    for sizes in (array.shape, strides):
        out.write(pickle.MARK)
        for size in sizes:
            _put(out, int(size), arrays)
        out.write(pickle.TUPLE)
    out.write(pickle.NEWFALSE)
    out.write(b"ccollections\nOrderedDict\n" + pickle.EMPTY_TUPLE)
    out.write(pickle.REDUCE + pickle.TUPLE + pickle.REDUCE)
