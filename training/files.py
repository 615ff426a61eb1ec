"""Writing files so that nothing half-written stands where a good one stood.

On local disks a file or directory is made under a scratch name and renamed.
Object stores (s3://) replace one object at once, but can rename no directory,
and know no locks. There, a directory is whole when one file of it is there,
`last`: all are made in the machine's temporary directory (TMPDIR), this one is
uploaded after the others, and removed before them.
"""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import stat
import tempfile
from collections.abc import Iterator

from training.errors import UserError
from training.remote import Path
from training.url_path import UrlPath

# Names that start so are scratch: safe to delete, never read.
SCRATCH_PREFIX = ".unfinished-"
ENDLESS = "it is a FIFO, a socket or a device, not a file"


def write_bytes(path: Path, content: bytes) -> None:
    """Replaces a file at once or leaves the old one."""
    if isinstance(path, UrlPath):
        path.write_bytes(content)
        return
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


def write_text(path: Path, text: str) -> None:
    """Replaces a text file at once or leaves the old one."""
    write_bytes(path, text.encode("utf-8"))


def check_writable(path: Path) -> None:
    """Raises if a file cannot be written; makes nothing.

    Long work tries with it where its results will go.

    Raises:
        UserError: it is a folder, or its folder cannot be written to.
    """
    if isinstance(path, UrlPath):
        path.check_writable()
        return
    if path.is_dir():
        raise UserError(
            f"Expected the name of a file to write. Received: {path}, which "
            "is a folder."
        )
    check_writable_folder(path.parent)


def check_writable_folder(path: Path) -> None:
    """Raises if files cannot be written into a folder; makes nothing.

    Args:
        path: of the folder, which may not exist yet.

    Raises:
        UserError: it, or a folder above it, is a file, or read-only.
    """
    if isinstance(path, UrlPath):
        path.mkdir(exist_ok=True)  # which makes nothing in an object store
        return
    nearest = path.absolute()
    while not os.path.lexists(nearest):
        nearest = nearest.parent
    if not nearest.is_dir():
        raise UserError(
            f"{path} cannot be a folder. File exists: {nearest} is a file."
        )
    try:
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise UserError(
            f"{path} cannot be written to ({error.strerror or error}). Give "
            "another place."
        ) from error


@contextlib.contextmanager
def new_directory(path: Path, last: str) -> Iterator[pathlib.Path]:
    """A scratch directory that becomes `path` when the block ends well.

    Args:
        path: the directory to make.
        last: name of the file that makes it whole, where nothing is renamed.

    Raises:
        FileExistsError: there is something at `path` already.
    """
    if isinstance(path, UrlPath):
        with _uploaded(path, last) as scratch:
            yield scratch
        return
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
def _uploaded(path: UrlPath, last: str) -> Iterator[pathlib.Path]:
    """A local scratch directory that is uploaded when the block ends well."""
    if is_whole(path, last):
        raise FileExistsError(f"{path} exists already.")
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        yield scratch
        made = [file for file in scratch.rglob("*") if file.is_file()]
        made.remove(scratch / last)  # fails if the block did not make it
        remove_directory(path, last)  # what a killed process left
        try:
            for file in [*sorted(made), scratch / last]:
                target = path / file.relative_to(scratch).as_posix()
                target.parent.mkdir(exist_ok=True)
                target.copy_from(file)
        except BaseException:
            with contextlib.suppress(UserError, OSError):
                remove_directory(path, last)
            raise


def is_whole(path: Path, last: str) -> bool:
    """Whether `new_directory` finished a directory."""
    if isinstance(path, UrlPath):
        return (path / last).exists()
    return path.exists()


def remove_directory(path: Path, last: str) -> None:
    """Removes what `new_directory` made, or began to make."""
    if isinstance(path, pathlib.Path):
        shutil.rmtree(path)
    elif path.exists():
        (path / last).unlink(missing_ok=True)
        if path.exists():
            path.rmtree()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes out of a folder, made if needed.

    Object stores have no locks: there it is up to the user to start one
    process at a time.

    Raises:
        UserError: another process is at work there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(folder, UrlPath):
        yield
        return
    with open(folder / ".lock", "a") as lock:  # keeps what is in it
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"Another process is writing to {folder}."
            ) from error
        yield


def is_endless(path: str | os.PathLike | UrlPath) -> bool:
    """Whether a local path is a FIFO, a socket or a device.

    Whoever opens one of them may wait for ever, or read without an end.
    """
    try:
        mode = os.stat(str(path)).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
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
