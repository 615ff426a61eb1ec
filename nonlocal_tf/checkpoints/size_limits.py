"""Limit on the memory that reading an untrusted file may take."""

from nonlocal_tf.checkpoints.errors import CheckpointError

# Weights hardly compress: their arrays are about as large as the file, and
# twice as large in float32 if the file has half precision.
FILE_SIZE_FACTOR = 4
MIN_BYTES = 64 * 2**20
# Bytes that JSON takes per byte of its text: "[]," becomes 64 bytes.
JSON_FACTOR = 24


class MemoryBudget:
    """Bytes that may be allocated while reading one file.

    Guards against decompression bombs: files of a few bytes that unpack to
    gigabytes, or refer to the same bytes a thousand times.

    Args:
        file_bytes: size of the file.
    """

    def __init__(self, file_bytes: int = 0):
        self._available = MIN_BYTES + FILE_SIZE_FACTOR * file_bytes

    def reserve(self, count: int) -> None:
        """Subtract bytes from the budget, before they are allocated.

        Raises:
            CheckpointError: the budget is exceeded.
        """
        self._available -= count
        if self._available < 0:
            raise CheckpointError(
                "The file unpacks to far more than its own size, which weights "
                "do not. It is not read: this may be a decompression bomb."
            )
