"""A bound on what a file can make of the memory."""

from nonlocal_tf.checkpoints.errors import CheckpointError

# Weights hardly compress: what a file holds is about as large as the file,
# and twice that for half precision.
TIMES = 4
LEAST = 64 * 2**20
# Memory that JSON takes for a byte of its text: "[]," becomes 64 bytes.
JSON_TIMES = 24


class Budget:
    """Bytes that may be made in reading one file.

    Files can be written that say little and ask for much: the same numbers a
    thousand times, or zeros that are not there.

    Args:
        size: of the file, in bytes.
    """

    def __init__(self, size: int = 0):
        self._left = LEAST + TIMES * size

    def take(self, count: int) -> None:
        """Counts bytes before they are made.

        Raises:
            CheckpointError: they are more than the file can have.
        """
        self._left -= count
        if self._left < 0:
            raise CheckpointError(
                "The file unpacks to far more than its own size, which weights "
                "do not: it is not opened, as it may be made to fill memory."
            )
