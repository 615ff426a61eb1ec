"""Decompression of HDF5 chunks within a memory budget.

The HDF5 library decompresses a chunk to any size that its content has. Here
raw chunks are read and decompressed to their declared size.
"""

import itertools
import math
import zlib
from typing import Any

import numpy as np

from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.checkpoints.size_limits import MemoryBudget

DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3
# In the order in which h5py and Keras 2 apply them, each once at most.
PIPELINE = (SHUFFLE, DEFLATE, FLETCHER32)
NAMES = {
    **{DEFLATE: "gzip", SHUFFLE: "shuffle", FLETCHER32: "fletcher32"},
    **{4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"},
}
CHECKSUM_BYTES = 4  # of fletcher32, behind a chunk
# Raw, decompressed, zlib's buffers, and unshuffled.
COPIES = 4
# Bytes charged per chunk, since each takes time.
CHUNK_OVERHEAD = 200
WORDS_PER_BLOCK = 2**16


class ChunkBuffer:
    """Memory for decompressing one chunk at a time; the largest counts.

    Args:
        budget: budget of the file.
    """

    def __init__(self, budget: MemoryBudget):
        self._budget, self._largest = budget, 0

    def reserve(self, chunk_bytes: int) -> None:
        """Charge the bytes by which a chunk exceeds the largest one so far.

        Raises:
            CheckpointError: the budget is exceeded.
        """
        excess = chunk_bytes - self._largest
        if excess > 0:
            self._budget.reserve(COPIES * excess)
            self._largest = chunk_bytes


def filters_of(data: Any) -> tuple[int, ...]:
    """Return the ids of a dataset's filters, in the order of writing."""
    layout = data.id.get_create_plist()
    return tuple(layout.get_filter(i)[0] for i in range(layout.get_nfilters()))


def check(data: Any, path: str, buffer: ChunkBuffer) -> None:
    """Check that `read` supports the filters of a dataset.

    Args:
        data: an h5py dataset.
        path: its path, for messages.
        buffer: buffer of the file.

    Raises:
        CheckpointError: it has other filters, or chunks too large for the
            budget.
    """
    filters = filters_of(data)
    positions = [PIPELINE.index(f) for f in filters if f in PIPELINE]
    if (
        data.chunks is None
        or len(positions) < len(filters)
        or positions != sorted(set(positions))
    ):
        names = ", ".join(NAMES.get(f, f"number {f}") for f in filters[:8])
        raise CheckpointError(
            f"{path!r} is stored with the HDF5 filters [{names}]. Expected "
            "[shuffle, gzip, fletcher32] or some of them, in this order. "
            "Unpack the file with: h5repack -f NONE FILE UNPACKED"
        )
    buffer.reserve(_chunk_bytes(data))


def read(data: Any, path: str, budget: MemoryBudget) -> np.ndarray:
    """Read a dataset whose filters passed `check`.

    Args:
        data: an h5py dataset, whose own size is charged by the caller.
        path: its path, for messages.
        budget: budget of the file.

    Raises:
        CheckpointError: a chunk does not decompress to its declared size.
    """
    starts = [
        range(0, size, step)
        for size, step in zip(data.shape, data.chunks, strict=True)
    ]
    budget.reserve(CHUNK_OVERHEAD * math.prod(map(len, starts)))
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
        content = _undo_filters(stored, applied, data, path)
        chunk = np.frombuffer(content, data.dtype).reshape(data.chunks)
        # The last chunks extend beyond the array.
        region = tuple(
            slice(first, first + step)
            for first, step in zip(start, data.chunks, strict=True)
        )
        target = array[region]
        target[...] = chunk[tuple(map(slice, target.shape))]
    return array


def _undo_filters(
    stored: bytes, filters: list[int], data: Any, path: str
) -> bytes | memoryview:
    """Undo the filters of a chunk, from the last to the first."""
    size = _chunk_bytes(data)
    content: bytes | memoryview = memoryview(stored)
    if FLETCHER32 in filters:
        content, checksum = content[:-CHECKSUM_BYTES], content[-CHECKSUM_BYTES:]
        if fletcher32(content) != int.from_bytes(checksum, "little"):
            raise CheckpointError(
                f"A chunk of {path!r} is damaged: its checksum differs."
            )
    if DEFLATE in filters:
        # One byte more than expected reveals larger content.
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
    for start in range(0, len(words), WORDS_PER_BLOCK):
        block = words[start : start + WORDS_PER_BLOCK].astype("u8")
        times = np.arange(len(block), 0, -1, dtype="u8")
        high = _mod_65535(high + len(block) * low + int(block @ times))
        low = _mod_65535(low + int(block.sum()))
    if even < len(content):
        low = _mod_65535(low + (content[even] << 8))
        high = _mod_65535(high + low)
    return high << 16 | low


def _mod_65535(total: int) -> int:
    """Reduce a sum modulo 65535, where nonzero sums stay nonzero."""
    return (total - 1) % 0xFFFF + 1 if total else 0


def _chunk_bytes(data: Any) -> int:
    return math.prod(data.chunks) * data.dtype.itemsize


def _wrong_size(path: str) -> str:
    return (
        f"A chunk of {path!r} does not decompress to its declared size: it is "
        "damaged, or a decompression bomb."
    )
