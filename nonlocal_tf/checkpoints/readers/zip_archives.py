"""Zip archives that may be made to fill memory."""

import contextlib
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

from nonlocal_tf.checkpoints.errors import CheckpointError, damaged
from nonlocal_tf.checkpoints.size_limits import Budget

# Memory that `zipfile` takes for a byte of the list of entries: an entry has
# 46 bytes and a name at least, and becomes an object with texts and dates.
DIRECTORY_TIMES = 24


@contextlib.contextmanager
def opened(file: BinaryIO, budget: Budget) -> Iterator[zipfile.ZipFile]:
    """An archive whose list of entries fits into the budget.

    Args:
        file: open for reading.
        budget: of the file.

    Raises:
        CheckpointError: the archive is damaged or has too many entries, or
            what the block raises.
    """
    with damaged("The archive"):
        source = _Counted(file, budget)
        with zipfile.ZipFile(source) as archive:
            source.is_listing = False
            yield archive


def read(archive: zipfile.ZipFile, name: str, budget: Budget) -> bytes:
    """Reads an entry that is stored as it is, or deflated.

    Raises:
        CheckpointError: it unpacks to more than the budget has.
        KeyError: there is no such entry.
    """
    entry = archive.getinfo(name)
    check_compression(entry)
    budget.take(entry.file_size)
    with archive.open(entry) as content:
        # Entries may hold more than they say.
        return content.read(entry.file_size)


def check_compression(entry: zipfile.ZipInfo) -> None:
    """Raises a CheckpointError unless an entry is stored or deflated."""
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise CheckpointError(
            f"{entry.filename[:80]!r} is compressed in a way that neither "
            "Keras nor PyTorch uses."
        )


class _Counted:
    """A file that counts what is read of it while its entries are listed."""

    def __init__(self, file: BinaryIO, budget: Budget):
        self._file, self._budget = file, budget
        self.is_listing = True
        self.seek, self.tell = file.seek, file.tell

    def read(self, count: int = -1) -> bytes:
        content = self._file.read(count)
        if self.is_listing:
            self._budget.take(DIRECTORY_TIMES * len(content))
        return content

    def seekable(self) -> bool:
        return True
