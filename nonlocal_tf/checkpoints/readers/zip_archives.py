"""Zip archives, read within a memory budget."""

import contextlib
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

from nonlocal_tf.checkpoints.errors import CheckpointError, as_checkpoint_error
from nonlocal_tf.checkpoints.size_limits import MemoryBudget

# Memory of `zipfile` per byte of the directory: an entry has at least 46 bytes
# and a name, and becomes an object with strings and dates.
DIRECTORY_FACTOR = 24


@contextlib.contextmanager
def open_archive(
    file: BinaryIO, budget: MemoryBudget
) -> Iterator[zipfile.ZipFile]:
    """Open an archive whose directory fits into the budget.

    Args:
        file: a file open for reading.
        budget: budget of the file.

    Raises:
        CheckpointError: the archive is damaged or has too many entries, or
            the block raised it.
    """
    with as_checkpoint_error("The archive"):
        source = _MeteredFile(file, budget)
        with zipfile.ZipFile(source) as archive:
            source.is_metered = False
            yield archive


def read_entry(
    archive: zipfile.ZipFile, name: str, budget: MemoryBudget
) -> bytes:
    """Read an entry that is stored or deflated.

    Raises:
        CheckpointError: it unpacks to more than the budget has.
        KeyError: the archive has no such entry.
    """
    entry = archive.getinfo(name)
    check_compression(entry)
    budget.reserve(entry.file_size)
    with archive.open(entry) as content:
        # Entries may unpack to more than their declared size.
        return content.read(entry.file_size)


def check_compression(entry: zipfile.ZipInfo) -> None:
    """Raise a CheckpointError unless an entry is stored or deflated."""
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise CheckpointError(
            f"{entry.filename[:80]!r} is compressed in a way that neither "
            "Keras nor PyTorch uses."
        )


class _MeteredFile:
    """File whose reads are charged to a budget while `is_metered`."""

    def __init__(self, file: BinaryIO, budget: MemoryBudget):
        self._file, self._budget = file, budget
        self.is_metered = True
        self.seek, self.tell = file.seek, file.tell

    def read(self, count: int = -1) -> bytes:
        content = self._file.read(count)
        if self.is_metered:
            self._budget.reserve(DIRECTORY_FACTOR * len(content))
        return content

    def seekable(self) -> bool:
        return True
