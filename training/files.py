"""Writing files so that nothing half-written stands where a good one stood."""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
from collections.abc import Iterator

from training.errors import UserError

# Names that start so are scratch: safe to delete, never read.
SCRATCH_PREFIX = ".unfinished-"


def write_bytes(path: pathlib.Path, content: bytes) -> None:
    """Replaces a file at once or leaves the old one."""
    scratch = path.with_name(SCRATCH_PREFIX + path.name)
    try:
        with _named(path), open(scratch, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
        _sync(path.parent)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def write_text(path: pathlib.Path, text: str) -> None:
    """Replaces a text file at once or leaves the old one."""
    write_bytes(path, text.encode("utf-8"))


@contextlib.contextmanager
def new_directory(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A scratch directory that becomes `path` when the block ends well.

    Raises:
        FileExistsError: there is something at `path` already.
    """
    if path.exists():
        raise FileExistsError(f"{path} exists already.")
    scratch = path.with_name(SCRATCH_PREFIX + path.name)
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        with _named(path):
            yield scratch
            for made in [*scratch.rglob("*"), scratch]:
                _sync(made)
        os.replace(scratch, path)
        _sync(path.parent)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Iterator[None]:
    """Keeps other processes out of a folder, made if needed.

    Raises:
        UserError: another process is at work there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"Another process is writing to {folder}."
            ) from error
        yield


def sha256(path: pathlib.Path) -> str:
    """Hex digest of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _named(path: pathlib.Path) -> Iterator[None]:
    """Failed writes do not say of which file; gives them this one."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def _sync(path: pathlib.Path) -> None:
    """Waits until a file, or the names in a directory, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
