"""Files of `torch.save`, read and written without PyTorch.

Since PyTorch 1.6 they are archives (zip) with a pickle, `data.pkl`, that
refers to one file of raw numbers a storage; before, several pickles with the
numbers behind them. Both are read, by the restricted reader of `pickles.py`;
archives are written.
"""

import dataclasses
import io
import pickle
import struct
import sys
import zipfile
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from nonlocal_tf.weights import pickles
from nonlocal_tf.weights.errors import CheckpointError

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
# Bytes and NumPy's type of an element. bfloat16, which NumPy has not, is the
# upper half of a float32.
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


@dataclasses.dataclass
class _Storage:
    """Numbers in a row; those of old files come behind the pickle."""

    dtype: str
    count: int
    values: np.ndarray | None = None

    def fill(self, content: bytes) -> None:
        is_bf16 = self.dtype == "bfloat16"
        kind = np.dtype("<u2" if is_bf16 else self.dtype)
        if len(content) != self.count * kind.itemsize:
            raise CheckpointError(
                f"The file is cut off: {self.count} numbers of "
                f"{kind.itemsize} bytes expected, {len(content)} bytes found."
            )
        values = np.frombuffer(content, kind)
        if is_bf16:
            values = (values.astype("<u4") << 16).view("<f4")
        self.values = values


@dataclasses.dataclass
class _Tensor:
    """A tensor before its numbers are there."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
        values = self.storage.values
        if values is None or not self._fits(len(values)):
            raise CheckpointError(
                f"The file is damaged: a tensor of shape {self.shape} does not "
                "fit the numbers it is made of."
            )
        strides = [s * values.itemsize for s in self.strides]
        view = np.lib.stride_tricks.as_strided(
            values[self.offset :], self.shape, strides, writeable=False
        )
        return np.array(view)  # of its own: views keep whole storages alive

    def _fits(self, count: int) -> bool:
        """Whether all of the tensor is within so many numbers."""
        numbers = (self.offset, *self.shape, *self.strides)
        if any(type(n) is not int or n < 0 for n in numbers):
            return False
        if len(self.shape) != len(self.strides):
            return False
        pairs = zip(self.shape, self.strides, strict=True)
        last = self.offset + sum((n - 1) * s for n, s in pairs)
        return 0 in self.shape or last < count


def _rebuild_tensor(storage, offset, shape, strides, *ignored):
    if not isinstance(storage, _Storage):
        raise CheckpointError("The file is damaged: a tensor without numbers.")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(data, *ignored):
    return data


def _rebuild_from_type(function, kind, arguments, state):
    return function(*arguments)


def _names() -> dict[tuple[str, str], object]:
    """What PyTorch's pickles refer to, besides arrays."""
    names: dict[tuple[str, str], object] = {
        ("torch", name): dtype for name, dtype in STORAGES.items()
    }
    names["torch._utils", "_rebuild_tensor"] = _rebuild_tensor
    names["torch._utils", "_rebuild_tensor_v2"] = _rebuild_tensor
    names["torch._utils", "_rebuild_parameter"] = _rebuild_parameter
    names["torch._tensor", "_rebuild_from_type_v2"] = _rebuild_from_type
    names["torch.nn.parameter", "Parameter"] = pickles.Inert
    names["torch", "Tensor"] = pickles.Inert
    names["torch", "Size"] = tuple
    names["torch", "device"] = pickles.Inert
    return names


def is_archive(start: bytes) -> bool:
    """Whether a file that starts so is an archive."""
    return start.startswith(b"PK\x03\x04")


def is_legacy(start: bytes) -> bool:
    """Whether a file that starts so is of `torch.save` before 1.6."""
    return start.startswith(pickle.dumps(LEGACY_MAGIC, protocol=2)[:-1])


def read(file: BinaryIO):
    """What was saved, its tensors as arrays.

    Args:
        file: open for reading, at its beginning.

    Raises:
        CheckpointError: it is not a file of `torch.save`, or is damaged.
    """
    start = file.read(16)
    file.seek(0)
    saved = _read_archive(file) if is_archive(start) else _read_legacy(file)
    return pickles.with_arrays(saved)


def _storage_of(pid, count_of_views: bool) -> tuple[str, str, int]:
    """(type, key, count) of a persistent identifier."""
    kind = isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage"
    if not kind or not isinstance(pid[1], str) or type(pid[4]) is not int:
        raise CheckpointError(f"The file refers to unknown data: {pid!r}")
    if count_of_views and len(pid) > 5 and pid[5] is not None:
        raise CheckpointError("The file has views of storages, too old a form.")
    return pid[1], str(pid[2]), pid[4]


def _read_archive(file: BinaryIO):
    try:
        with zipfile.ZipFile(file) as archive:
            entries = [n for n in archive.namelist() if n.endswith("/data.pkl")]
            if len(entries) != 1:
                raise CheckpointError(
                    "The file is an archive, but not one of torch.save: it has "
                    "no data.pkl."
                )
            folder = entries[0].removesuffix("data.pkl")
            storages: dict[str, _Storage] = {}

            def storage(pid):
                dtype, key, count = _storage_of(pid, False)
                if key not in storages:
                    storages[key] = _Storage(dtype, count)
                    storages[key].fill(archive.read(f"{folder}data/{key}"))
                return storages[key]

            order = f"{folder}byteorder"
            if order in archive.namelist() and archive.read(order) != b"little":
                raise CheckpointError("The file is of a big-endian machine.")
            return pickles.loads(archive.read(entries[0]), _names(), storage)
    except (zipfile.BadZipFile, KeyError, EOFError, OSError) as error:
        raise CheckpointError(
            f"The archive is damaged or cut off: {error}"
        ) from error


def _read_legacy(file: BinaryIO):
    storages: dict[str, _Storage] = {}

    def storage(pid):
        dtype, key, count = _storage_of(pid, True)
        return storages.setdefault(key, _Storage(dtype, count))

    if pickles.load(file) != LEGACY_MAGIC:
        raise CheckpointError("The file is not one of torch.save.")
    pickles.load(file)  # version of the protocol
    system = pickles.load(file)
    if isinstance(system, dict) and not system.get("little_endian", True):
        raise CheckpointError("The file is of a big-endian machine.")
    saved = pickles.load(file, _names(), storage)
    keys = pickles.load(file)
    for key in keys if isinstance(keys, list) else []:
        found = storages.get(str(key))
        head = file.read(8)
        if found is None or len(head) != 8:
            raise CheckpointError("The file is damaged or cut off.")
        if struct.unpack("<q", head)[0] != found.count:
            raise CheckpointError("The file is damaged: sizes do not agree.")
        two = found.dtype == "bfloat16"
        width = 2 if two else np.dtype(found.dtype).itemsize
        found.fill(file.read(found.count * width))
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


def _put(out: BinaryIO, value, arrays: list[np.ndarray]) -> None:
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
    arrays.append(np.ascontiguousarray(array))
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
