"""Chunks of compressed HDF5 arrays, unpacked within a budget.

The HDF5 library unpacks a stored chunk to whatever size it has. So chunks are
read as they are stored, and unpacked here to the size that they must have.
"""

import itertools
import math
import zlib
from typing import Any

import numpy as np

from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.checkpoints.size_limits import Budget

DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3
# In the order in which h5py and Keras 2 apply them, each once at most.
PIPELINE = (SHUFFLE, DEFLATE, FLETCHER32)
NAMES = {
    **{DEFLATE: "gzip", SHUFFLE: "shuffle", FLETCHER32: "fletcher32"},
    **{4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"},
}
CHECKSUM = 4  # bytes of fletcher32 behind a chunk
# A stored chunk, unpacked, in its parts while zlib makes it, and unshuffled.
COPIES = 4
# Counted for every chunk, as each takes time.
OVERHEAD = 200
BLOCK = 2**16


class Scratch:
    """Memory for one chunk at a time, of which the largest counts.

    Args:
        budget: of the file.
    """

    def __init__(self, budget: Budget):
        self._budget, self._largest = budget, 0

    def take(self, chunk_bytes: int) -> None:
        """Count a chunk by what it exceeds the largest before.

        Raises:
            CheckpointError: it is more than the file can have.
        """
        excess = chunk_bytes - self._largest
        if excess > 0:
            self._budget.take(COPIES * excess)
            self._largest = chunk_bytes


def filters_of(data: Any) -> tuple[int, ...]:
    """Numbers of an array's filters, in the order of writing."""
    layout = data.id.get_create_plist()
    return tuple(layout.get_filter(i)[0] for i in range(layout.get_nfilters()))


def check(data: Any, path: str, scratch: Scratch) -> None:
    """Check that `read` reads an array with filters.

    Args:
        data: dataset of h5py.
        path: of it, for messages.
        scratch: of the file.

    Raises:
        CheckpointError: it has other filters, or too large chunks.
    """
    filters = filters_of(data)
    places = [PIPELINE.index(f) for f in filters if f in PIPELINE]
    if (
        data.chunks is None
        or len(places) < len(filters)
        or (places != sorted(set(places)))
    ):
        names = ", ".join(NAMES.get(f, f"number {f}") for f in filters[:8])
        raise CheckpointError(
            f"{path!r} is stored with the HDF5 filters [{names}]. Expected "
            "[shuffle, gzip, fletcher32] or some of them, in this order. "
            "Unpack the file with: h5repack -f NONE FILE UNPACKED"
        )
    scratch.take(_chunk_bytes(data))


def read(data: Any, path: str, budget: Budget) -> np.ndarray:
    """Read an array with filters that `check` has passed.

    Args:
        data: dataset of h5py, whose own size was counted.
        path: of it, for messages.
        budget: of the file.

    Raises:
        CheckpointError: a chunk does not unpack to its size.
    """
    starts = [
        range(0, size, step)
        for size, step in zip(data.shape, data.chunks, strict=True)
    ]
    budget.take(OVERHEAD * math.prod(map(len, starts)))
    array = np.full(data.shape, data.fillvalue, data.dtype)
    filters = filters_of(data)
    for start in itertools.product(*starts):
        info = data.id.get_chunk_info_by_coord(start)
        if info.byte_offset is None:  # never written
            continue
        if info.size > 2 * _chunk_bytes(data) + 1000:
            raise CheckpointError(_wrong_size(path))
        mask, stored = data.id.read_direct_chunk(start)
        applied = [f for i, f in enumerate(filters) if not mask >> i & 1]
        content = _unpacked(stored, applied, data, path)
        chunk = np.frombuffer(content, data.dtype).reshape(data.chunks)
        # Chunks at the far edges reach beyond the array.
        place = tuple(
            slice(first, first + step)
            for first, step in zip(start, data.chunks, strict=True)
        )
        part = array[place]
        part[...] = chunk[tuple(map(slice, part.shape))]
    return array


def _unpacked(
    stored: bytes, filters: list[int], data: Any, path: str
) -> bytes | memoryview:
    """A chunk without its filters, undone from the last to the first."""
    size = _chunk_bytes(data)
    content: bytes | memoryview = memoryview(stored)
    if FLETCHER32 in filters:
        content, checksum = content[:-CHECKSUM], content[-CHECKSUM:]
        if fletcher32(content) != int.from_bytes(checksum, "little"):
            raise CheckpointError(
                f"A chunk of {path!r} is damaged: its checksum is another."
            )
    if DEFLATE in filters:
        # One byte more shows that there is more.
        inflater = zlib.decompressobj()
        content = inflater.decompress(content, size + 1)
        if not inflater.eof:
            raise CheckpointError(_wrong_size(path))
    if len(content) != size:
        raise CheckpointError(_wrong_size(path))
    if SHUFFLE in filters:
        planes = np.frombuffer(content, "u1").reshape(data.dtype.itemsize, -1)
        content = planes.T.tobytes()
    return content


def fletcher32(content: bytes | memoryview) -> int:
    """Compute HDF5's checksum of a chunk."""
    low = high = 0
    even = len(content) // 2 * 2
    words = np.frombuffer(content[:even], ">u2")
    for start in range(0, len(words), BLOCK):
        block = words[start : start + BLOCK].astype("u8")
        times = np.arange(len(block), 0, -1, dtype="u8")
        high = _folded(high + len(block) * low + int(block @ times))
        low = _folded(low + int(block.sum()))
    if even < len(content):
        low = _folded(low + (content[even] << 8))
        high = _folded(high + low)
    return high << 16 | low


def _folded(total: int) -> int:
    """Modulo 65535, where a sum that is not 0 stays so."""
    return (total - 1) % 0xFFFF + 1 if total else 0


def _chunk_bytes(data: Any) -> int:
    return math.prod(data.chunks) * data.dtype.itemsize


def _wrong_size(path: str) -> str:
    return (
        f"A chunk of {path!r} does not unpack to the size that the file says: "
        "it is damaged, or may be made to fill memory."
    )
