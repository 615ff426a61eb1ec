"""Writing files so that nothing half-written stands where a good one stood."""

import contextlib
import hashlib
import os
import pathlib
import shutil
from collections.abc import Iterator

# Names that start so are scratch: safe to delete, never read.
SCRATCH_PREFIX = ".unfinished-"


def write_text(path: pathlib.Path, text: str) -> None:
    """Replaces a text file at once or leaves the old one."""
    scratch = path.with_name(SCRATCH_PREFIX + path.name)
    try:
        with open(scratch, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


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
        yield scratch
        for file in scratch.rglob("*"):
            if file.is_file():
                with open(file, "rb") as written:
                    os.fsync(written.fileno())
        os.replace(scratch, path)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def sha256(path: pathlib.Path) -> str:
    """Hex digest of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
