"""Files of safetensors, read and written without its package.

A file is the length of a header (8 bytes, little-endian), the header (JSON
with the dtype, shape and place of each array) and the arrays, back to back.
These lines are all that weights need of it. The package would be one more
requirement of every installation, for the same arrays, and would not keep to
the memory budget of the other readers.

Reference: https://huggingface.co/docs/safetensors
"""

import json
import math
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from nonlocal_tf.checkpoints.errors import CheckpointError, as_checkpoint_error
from nonlocal_tf.checkpoints.size_limits import JSON_FACTOR, MemoryBudget
from nonlocal_tf.typing import FileContent

LENGTH_BYTES = 8
ALIGNMENT = 8
MAX_HEADER_BYTES = 100_000_000  # as in the package
METADATA = "__metadata__"
DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("bfloat16"),  # of ml_dtypes, which Keras imports
    **{f"I{8 * size}": np.dtype(f"<i{size}") for size in (8, 4, 2, 1)},
    **{f"U{8 * size}": np.dtype(f"<u{size}") for size in (8, 4, 2, 1)},
    "BOOL": np.dtype("?"),
}


def is_safetensors(start: bytes) -> bool:
    """Tell if a file with these first bytes is one of safetensors."""
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    header = start[LENGTH_BYTES : LENGTH_BYTES + 2]
    return length <= MAX_HEADER_BYTES and header in (b'{"', b"{}", b"{ ")


def read(
    content: FileContent, budget: MemoryBudget
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read the arrays and the metadata of a file.

    Args:
        content: content of the file, a memory map or bytes.
        budget: budget of the file.

    Returns:
        `(arrays by name, metadata)`. Arrays of bfloat16 are read as float32.

    Raises:
        CheckpointError: the file is damaged, or has dtypes without a
            counterpart in NumPy.
    """
    with as_checkpoint_error("The file"):
        length = int.from_bytes(content[:LENGTH_BYTES], "little")
        start = LENGTH_BYTES + length
        if start > len(content):
            raise CheckpointError(
                f"The file is cut off: expected a header of {length} bytes. "
                f"Received a file of {len(content)} bytes."
            )
        budget.reserve(JSON_FACTOR * length)
        header = json.loads(
            content[LENGTH_BYTES:start], object_pairs_hook=_unique
        )
        metadata = header.pop(METADATA, {})
        entries = {name: _Entry(name, header[name]) for name in header}
        _check_offsets(entries, len(content) - start)
        arrays = {
            name: entry.read(content, start, budget)
            for name, entry in entries.items()
        }
    return arrays, metadata if isinstance(metadata, dict) else {}


class _Entry:
    """Dtype, shape and place of an array, checked against each other."""

    def __init__(self, name: str, fields: Any):
        self.name = name
        self.shape = tuple(fields["shape"])
        self.begin, self.end = fields["data_offsets"]
        if not all(
            type(number) is int and number >= 0
            for number in (*self.shape, self.begin, self.end)
        ):
            raise _damaged(name, "shape and data_offsets", fields)
        if fields["dtype"] not in DTYPES:
            raise CheckpointError(
                f"The array {name[:80]!r} has the dtype {fields['dtype']!r}. "
                f"Expected one of {', '.join(DTYPES)}: save it as one of these."
            )
        self.dtype = DTYPES[fields["dtype"]]
        count = math.prod(self.shape) * self.dtype.itemsize
        if self.end - self.begin != count:
            raise _damaged(name, f"data_offsets {count} bytes apart", fields)

    def read(
        self, content: FileContent, start: int, budget: MemoryBudget
    ) -> np.ndarray:
        """Return the array; `start` is the place of offset 0."""
        is_bfloat16 = self.dtype == DTYPES["BF16"]
        budget.reserve((3 if is_bfloat16 else 1) * (self.end - self.begin))
        data = content[start + self.begin : start + self.end]
        array = np.frombuffer(data, self.dtype).reshape(self.shape)
        return array.astype("float32") if is_bfloat16 else array


def _damaged(name: str, expected: str, fields: object) -> CheckpointError:
    return CheckpointError(
        f"The file is damaged: expected {expected} of {name[:80]!r}. "
        f"Received: {str(fields)[:200]}"
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a dictionary of pairs; names that repeat are an error."""
    unique = dict(pairs)
    if len(unique) < len(pairs):
        raise CheckpointError(
            "The file is damaged: a name of its header repeats."
        )
    return unique


def _check_offsets(entries: Mapping[str, _Entry], size: int) -> None:
    """Raise a CheckpointError unless arrays fill the data without overlap."""
    position = 0
    for entry in sorted(entries.values(), key=lambda e: (e.begin, e.end)):
        if entry.begin != position:
            raise CheckpointError(
                f"The file is damaged: expected {entry.name[:80]!r} at byte "
                f"{position} of its data, where the array before it ends. "
                f"Received: {entry.begin}"
            )
        position = entry.end
    if position != size:
        raise CheckpointError(
            f"The file is damaged or cut off: expected {position} bytes of "
            f"data. Received: {size}"
        )


def write(
    file: BinaryIO, arrays: Mapping[str, np.ndarray], metadata: dict[str, str]
) -> None:
    """Write arrays by name, which the package reads, too.

    Args:
        file: a file open for writing.
        arrays: arrays of one of `DTYPES`.
        metadata: strings by name; may be empty.

    Raises:
        ValueError: an array has another dtype.
    """
    names = {dtype: name for name, dtype in DTYPES.items()}
    header: dict[str, Any] = {METADATA: metadata} if metadata else {}
    position = 0
    # Wide elements first: each array is aligned to its own.
    ordered = sorted(arrays, key=lambda name: -arrays[name].itemsize)
    for name in ordered:
        array = arrays[name]
        dtype = array.dtype.newbyteorder("<")
        if dtype not in names:
            raise ValueError(
                f"Expected {name!r} to be one of {', '.join(DTYPES)}. "
                f"Received: {array.dtype}"
            )
        header[name] = {
            "dtype": names[dtype],
            "shape": list(array.shape),
            "data_offsets": [position, position + array.nbytes],
        }
        position += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    file.write(len(text).to_bytes(LENGTH_BYTES, "little") + text)
    for name in ordered:
        dtype = arrays[name].dtype.newbyteorder("<")
        file.write(arrays[name].astype(dtype, copy=False).tobytes())
