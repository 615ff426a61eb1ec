"""Atomic writes of files and directories, and locks of folders.

On local disks a file or directory is written under a scratch name and renamed.
Object stores (s3://) replace single objects atomically, but cannot rename a
directory and have no locks. There, a directory is complete when its file `last`
exists: all files are written to the temporary directory of the machine
(TMPDIR); `last` is uploaded after the others and deleted before them.

An untrusted folder may hold links where files are written. Scratch files and
directories therefore have random names, and neither they nor locks are opened
through links.
"""

import contextlib
import fcntl
import glob
import hashlib
import os
import pathlib
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator

from .paths import Path, UrlPath
from .user_error import UserError

# Prefix of scratch files: safe to delete, never read.
SCRATCH_PREFIX = ".unfinished-"
TOKEN_BYTES = 8  # of a scratch name, written in hexadecimal
SUFFIX_CHARACTERS = 40  # of a name, at the end of its scratch name
STALE_SECONDS = 600  # since a scratch file was written to
LOCK = ".lock"
ENDLESS = "it is a FIFO, a socket or a device, not a file"


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file atomically."""
    if isinstance(path, UrlPath):
        path.write_bytes(content)
        return
    with (
        new_file(path) as scratch,
        open(scratch, "wb", opener=open_without_following) as file,
    ):
        file.write(content)


@contextlib.contextmanager
def new_file(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Create a scratch file, renamed to `path` when the block succeeds.

    Its name is random and has the suffix of `path`.
    """
    scratch = _scratch_path(path)
    try:
        with _named(path, scratch):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            os.close(open_without_following(scratch, flags))
            yield scratch
            _sync(scratch)
            os.replace(scratch, path)
        _sync(path.parent)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def open_without_following(path: str | os.PathLike, flags: int) -> int:
    """Open a file unless its name is a link; an `opener` of `open`.

    A FIFO without a reader is an error, rather than a wait for one.
    """
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)


def _scratch_path(path: pathlib.Path) -> pathlib.Path:
    """Return a random name in the folder of a path."""
    token = secrets.token_hex(TOKEN_BYTES)
    suffix = path.name[-SUFFIX_CHARACTERS:]
    return path.with_name(f"{SCRATCH_PREFIX}{token}-{suffix}")


def remove_leftovers(path: pathlib.Path) -> None:
    """Remove the scratch files of killed writers of a file or directory."""
    token = "[0-9a-f]" * 2 * TOKEN_BYTES
    suffix = glob.escape(path.name[-SUFFIX_CHARACTERS:])
    for pattern in (glob.escape(path.name), f"{token}-{suffix}"):
        for scratch in path.parent.glob(SCRATCH_PREFIX + pattern):
            with contextlib.suppress(OSError):  # new names are random
                _remove(scratch)


def remove_scratch(folder: Path, stale_s: float = STALE_SECONDS) -> None:
    """Remove the scratch files of killed processes in a folder.

    Args:
        folder: locked, or with writers that update their scratch files often.
        stale_s: seconds since the last write to a scratch file.
    """
    if isinstance(folder, UrlPath):
        return
    for scratch in folder.glob(f"{SCRATCH_PREFIX}*"):
        with contextlib.suppress(OSError):
            if scratch.lstat().st_mtime <= time.time() - stale_s:
                _remove(scratch)


def _remove(path: pathlib.Path) -> None:
    """Remove a file, a directory, or a link but not its target."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace a text file atomically, as UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def check_writable(path: Path) -> None:
    """Check before long work that its output file can be written.

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
    """Check that files can be written into a folder; creates nothing.

    Args:
        path: the folder, which may not exist yet.

    Raises:
        UserError: it, or a folder above it, is a file, or read-only.
    """
    if isinstance(path, UrlPath):
        path.check_writable()
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
    """Create a scratch directory, renamed to `path` when the block succeeds.

    Args:
        path: the directory to create.
        last: name of the file that completes it in an object store.

    Raises:
        FileExistsError: `path` exists.
    """
    if isinstance(path, UrlPath):
        with _uploaded(path, last) as scratch:
            yield scratch
        return
    if path.exists():
        raise FileExistsError(f"{path} exists already.")
    remove_leftovers(path)
    scratch = _scratch_path(path)
    scratch.mkdir(parents=True)
    try:
        with _named(path, scratch):
            yield scratch
            for written in [*scratch.rglob("*"), scratch]:
                _sync(written)
        os.replace(scratch, path)
        _sync(path.parent)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


@contextlib.contextmanager
def _uploaded(path: UrlPath, last: str) -> Iterator[pathlib.Path]:
    """Create a local directory, uploaded when the block succeeds."""
    if is_whole(path, last):
        raise FileExistsError(f"{path} exists already.")
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        yield scratch
        files = [file for file in scratch.rglob("*") if file.is_file()]
        files.remove(scratch / last)  # fails if the block did not write it
        remove_directory(path, last)  # of a killed process
        try:
            for file in [*sorted(files), scratch / last]:
                target = path / file.relative_to(scratch).as_posix()
                target.parent.mkdir(exist_ok=True)
                target.upload(file)
        except BaseException:
            with contextlib.suppress(UserError, OSError):
                remove_directory(path, last)
            raise


def is_whole(path: Path, last: str) -> bool:
    """Return whether `new_directory` completed a directory."""
    if isinstance(path, UrlPath):
        return (path / last).exists()
    return path.exists()


def remove_directory(path: Path, last: str) -> None:
    """Remove a directory of `new_directory`, complete or not."""
    if isinstance(path, pathlib.Path):
        _remove(path)
    elif path.exists():
        (path / last).unlink(missing_ok=True)
        if path.exists():
            path.rmtree()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder, created if needed, against other processes.

    Object stores have no locks: users start one process at a time.

    Raises:
        UserError: another process has the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(folder, UrlPath):
        yield
        return
    with open(folder / LOCK, "rb", opener=_open_lock) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"Another process is writing to {folder}."
            ) from error
        remove_scratch(folder)
        yield


def _open_lock(path: str, _: int) -> int:
    """Open a lock file, created if needed, without truncation.

    Raises:
        UserError: it is a link, or not a regular file.
    """
    if os.path.lexists(path):
        check_regular(pathlib.Path(path))
    return open_without_following(path, os.O_RDWR | os.O_CREAT)


def check_regular(path: pathlib.Path) -> None:
    """Raise a UserError unless a path is a regular file and no link."""
    mode = path.lstat().st_mode
    if stat.S_ISREG(mode):
        return
    kind = "a link" if stat.S_ISLNK(mode) else "no regular file"
    raise UserError(
        f"Expected a regular file. {path} is {kind}, which is not written to. "
        "Delete it."
    )


def check_inside(path: Path, folder: Path) -> None:
    """Check that no link in a path leads out of a folder.

    Raises:
        UserError: one does.
    """
    if isinstance(path, UrlPath) or isinstance(folder, UrlPath):
        return
    root = os.path.realpath(folder)
    parts = path.relative_to(folder).parts
    for depth in range(1, len(parts) + 1):
        place = folder.joinpath(*parts[:depth])
        target = os.path.realpath(place)
        if os.path.commonpath([root, target]) != root:
            raise UserError(
                f"{place} is a link to {target}, outside of {folder}: nothing "
                "is written through it, as a folder from someone else may lead "
                "anywhere. Move what it leads to here. To use another disk, "
                f"move all of {folder} there; {folder} itself may be a link."
            )


def is_endless(path: str | os.PathLike | UrlPath) -> bool:
    """Return whether a local path is a FIFO, a socket or a device.

    Opening one may block forever, and reading one may never end.
    """
    try:
        mode = os.stat(str(path)).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def check_not_endless(path: str | os.PathLike | UrlPath) -> None:
    """Raise a UserError for a FIFO, a socket or a device."""
    if is_endless(path):
        raise UserError(f"{path} cannot be read: {ENDLESS}.")


def sha256(path: Path) -> str:
    """Return the SHA-256 digest of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _named(path: pathlib.Path, scratch: pathlib.Path) -> Iterator[None]:
    """Name a file in errors that name none, or its scratch file."""
    try:
        yield
    except OSError as error:
        unnamed = error.filename is None or str(error.filename) == str(scratch)
        if error.errno is not None and unnamed:
            error.filename = str(path)
        raise


def _sync(path: pathlib.Path) -> None:
    """Flush a file, or the names in a directory, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
