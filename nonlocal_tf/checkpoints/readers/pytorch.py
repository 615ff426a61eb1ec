"""Files of `torch.save`, read and written without PyTorch.

Since PyTorch 1.6 they are archives (zip) with a pickle, `data.pkl`, that
refers to one file of raw numbers a storage; before, several pickles with the
numbers behind them. Both are read, by the restricted reader of `pickles.py`;
archives are written.
"""

import dataclasses
import io
import math
import pickle
import sys
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from nonlocal_tf.checkpoints.errors import CheckpointError, damaged
from nonlocal_tf.checkpoints.readers import bfloat16, pickles, zip_archives
from nonlocal_tf.checkpoints.readers.pickles import Content, Named
from nonlocal_tf.checkpoints.size_limits import Budget

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
# NumPy's type of an element.
STORAGES = {
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
# An expanded tensor has more elements than numbers; no weight has many more.
MOST_EXPANDED = 2**24
LARGEST = 2**48


@dataclasses.dataclass(frozen=True)
class _StorageType:
    """What a class of storages is named for: the type of an element."""

    dtype: str

    def width(self) -> int:
        """Bytes of an element."""
        if self.dtype == "bfloat16":
            return bfloat16.WIDTH
        return np.dtype(self.dtype).itemsize


class _Storage:
    """Numbers in a row; those of old files come behind the pickle."""

    def __init__(self, kind: _StorageType, count: int):
        self.kind, self.count = kind, count
        self.values: np.ndarray | None = None

    def fill(self, content: bytes) -> None:
        expected = self.count * self.kind.width()
        if len(content) != expected:
            raise CheckpointError(
                f"The file is damaged or cut off: {expected} bytes of numbers "
                f"expected, {len(content)} found."
            )
        is_half = self.kind.dtype == "bfloat16"
        dtype = "<u2" if is_half else self.kind.dtype
        self.values = np.frombuffer(content, dtype)


class Tensor:
    """Stands for a tensor, until its numbers were read."""

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

    def array(self, budget: Budget | None = None) -> np.ndarray:
        """The tensor as an array of its own.

        Args:
            budget: of the file.

        Raises:
            CheckpointError: it does not fit the numbers it is made of.
        """
        is_known = isinstance(self._storage, _Storage)
        values = self._storage.values if is_known else None
        if values is None or not self._fits(values.size):
            raise CheckpointError(
                "The file is damaged: a tensor does not fit the numbers that "
                "it is made of."
            )
        is_half = self._storage.kind.dtype == "bfloat16"
        width = 4 if is_half else values.itemsize
        (budget or Budget(values.nbytes)).take(width * math.prod(self._shape))
        strides = [stride * values.itemsize for stride in self._strides]
        view = np.lib.stride_tricks.as_strided(
            values[self._offset :], self._shape, strides, writeable=False
        )
        if is_half:
            return bfloat16.to_float32(view)
        return np.array(view)  # views keep whole storages alive

    def _fits(self, count: int) -> bool:
        """Whether all of the tensor is within so many numbers."""
        shape, strides = self._shape, self._strides
        if not pickles.is_shape(shape) or not pickles.is_shape(strides):
            return False
        if not pickles.is_shape((self._offset,)):
            return False
        if max((self._offset, *shape, *strides)) > LARGEST:
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
        return last < count and size <= max(count, MOST_EXPANDED)


# What PyTorch's pickles refer to, besides arrays.
NAMES: dict[tuple[str, str], Any] = {
    **{("torch", name): _StorageType(t) for name, t in STORAGES.items()},
    **{("torch", name): pickles.nothing for name in DTYPES},
    ("torch._utils", "_rebuild_tensor"): Tensor,
    ("torch._utils", "_rebuild_tensor_v2"): Tensor,
    ("torch._utils", "_rebuild_parameter"): lambda data, *ignored: data,
    ("torch._tensor", "_rebuild_from_type_v2"): pickles.of_another_type,
    ("torch.nn.parameter", "Parameter"): pickles.nothing,
    ("torch", "Tensor"): pickles.nothing,
    ("torch", "Size"): lambda sizes=(): sizes,
    ("torch", "device"): pickles.nothing,
}


def is_archive(start: bytes) -> bool:
    """Whether a file that starts so is an archive."""
    return start.startswith(b"PK\x03\x04")


def is_legacy(start: bytes) -> bool:
    """Whether a file that starts so is of `torch.save` before 1.6."""
    magic = pickle.dumps(LEGACY_MAGIC, protocol=2)[2:-1]
    return start.startswith(pickle.PROTO) and magic in start[:32]


def read(file: BinaryIO, content: Content, budget: Budget | None = None) -> Any:
    """What was saved, in place of each tensor a `Tensor`.

    Args:
        file: open for reading.
        content: of the file: a memory map, or bytes of an archive.
        budget: of the file.

    Raises:
        CheckpointError: it is not a file of `torch.save`, or is damaged.
    """
    if is_archive(content[:4]):
        return _read_archive(file, budget or Budget())
    with damaged("The file"):
        return _read_legacy(content, budget or Budget())


def _storage_of(pid: Any) -> tuple[_StorageType, str, int]:
    """(type, key, count) of a persistent identifier."""
    known = isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage"
    known = known and isinstance(pid[1], Named)
    known = known and isinstance(pid[1].make, _StorageType)
    known = known and isinstance(pid[2], (str, int)) and type(pid[4]) is int
    if not known or not 0 <= pid[4] < LARGEST:
        raise CheckpointError("The file refers to data of an unknown form.")
    return pid[1].make, str(pid[2]), pid[4]


def _read_archive(file: BinaryIO, budget: Budget) -> Any:
    with zip_archives.opened(file, budget) as archive:
        names = archive.namelist()
        entries = [name for name in names if name.endswith("/data.pkl")]
        if len(entries) != 1:
            some = ", ".join(name[:40] for name in names[:4])
            raise CheckpointError(
                "The file is a zip archive, but not one of torch.save, which "
                "has one data.pkl, nor one of Keras. Unpack it, and give the "
                f"file of weights that is in it. Received: {some or 'nothing'}"
            )
        folder = entries[0].removesuffix("data.pkl")
        storages: dict[str, _Storage] = {}

        def entry(name: str) -> bytes:
            if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
                raise CheckpointError(f"{name!r} is compressed.")
            return zip_archives.read(archive, name, budget)

        def storage(pid: Any) -> _Storage:
            kind, key, count = _storage_of(pid)
            if key not in storages:
                storages[key] = _Storage(kind, count)
                storages[key].fill(entry(f"{folder}data/{key}"))
            return storages[key]

        order = f"{folder}byteorder"
        if order in names and entry(order) != b"little":
            raise CheckpointError("The file is of a big-endian machine.")
        return pickles.load(entry(entries[0]), NAMES, storage, budget)


def _read_legacy(content: Content, budget: Budget) -> Any:
    if isinstance(content, bytes):
        raise TypeError("Expected a memory map, which has a place in it.")
    storages: dict[str, _Storage] = {}

    def storage(pid: Any) -> _Storage:
        kind, key, count = _storage_of(pid)
        if len(pid) > 5 and pid[5] is not None:
            raise CheckpointError("The file has views of storages.")
        return storages.setdefault(key, _Storage(kind, count))

    if pickles.load(content, budget=budget) != LEGACY_MAGIC:
        raise CheckpointError("The file is not one of torch.save.")
    pickles.load(content, budget=budget)  # version of the protocol
    system = pickles.load(content, budget=budget)
    if isinstance(system, dict) and not system.get("little_endian", True):
        raise CheckpointError("The file is of a big-endian machine.")
    saved = pickles.load(content, NAMES, storage, budget)
    keys = pickles.load(content, budget=budget)
    for key in keys if isinstance(keys, list) else []:
        found = storages.get(key if isinstance(key, str) else "")
        count = int.from_bytes(content.read(8), "little", signed=True)
        if found is None or count != found.count:
            raise CheckpointError("The file is damaged or cut off.")
        numbers = content.read(count * found.kind.width())
        budget.take(len(numbers))
        found.fill(numbers)
    return saved


# -------------------------------------------------------------------- writing


def write(file: BinaryIO, saved: Mapping[str, object]) -> None:
    """Writes what `torch.load` reads.

    Args:
        file: open for writing.
        saved: text, numbers and float32 arrays, also in dictionaries.
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
    """Adds the operations that make a value."""
    if isinstance(value, Mapping):
        out.write(pickle.EMPTY_DICT + pickle.MARK)
        for key, item in value.items():
            _put(out, key, arrays)
            _put(out, item, arrays)
        out.write(pickle.SETITEMS)
    elif isinstance(value, np.ndarray):
        _put_tensor(out, value, arrays)
    else:  # a number or text, in an operation or two of its own
        plain = pickle.dumps(value, protocol=2)
        out.write(plain[2:-1])


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
    for numbers in (array.shape, strides):
        out.write(pickle.MARK)
        for number in numbers:
            _put(out, int(number), arrays)
        out.write(pickle.TUPLE)
    out.write(pickle.NEWFALSE)
    out.write(b"ccollections\nOrderedDict\n" + pickle.EMPTY_TUPLE)
    out.write(pickle.REDUCE + pickle.TUPLE + pickle.REDUCE)
