"""The arrays of a checkpoint, checked before they are read.

A run folder may come from somebody else. What its archive says of an array is
compared with the variable that it is for, so that no file makes more of the
memory than the model itself has.
"""

import dataclasses
import io
import math
import zipfile
from collections.abc import Sequence
from typing import BinaryIO

import keras
import numpy as np
from numpy.lib import format as npy

from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.checkpoints.readers import zip_archives
from nonlocal_tf.checkpoints.size_limits import MemoryBudget

from ..io import atomic_files
from ..io.paths import Path
from ..io.user_error import UserError

HEADERS = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}
LONGEST_HEADER = 10_000
NUMBERS = "fiub"


@dataclasses.dataclass(frozen=True)
class _Header:
    """Header of an array in an archive."""

    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape)


def read(
    path: Path,
    prefix: str,
    variables: Sequence[keras.Variable] | None = None,
    optional: bool = False,
) -> list[np.ndarray]:
    """Reads the arrays of an archive whose names begin so, in their order.

    Args:
        path: of an archive of `numpy.savez`.
        prefix: of their names.
        variables: that they are for; None for whatever is there.
        optional: whether there may be none for variables.

    Raises:
        UserError: it cannot be read, or does not fit the variables.
    """
    atomic_files.check_not_endless(path)
    try:
        with path.open("rb") as file:
            budget = MemoryBudget(file.seek(0, io.SEEK_END))
            with zip_archives.open_archive(file, budget) as archive:
                names = sorted(
                    name
                    for name in archive.namelist()
                    if name.startswith(prefix)
                )
                if optional and not names:
                    return []
                return _read(archive, names, variables, budget)
    except _OtherModelError as error:
        raise UserError(
            f"Checkpoint {path.parent} does not fit the model ({error}): was "
            "it written for another model, or by another version of the code?"
        ) from error
    except (OSError, CheckpointError) as error:
        raise UserError(f"{path}: {error}") from error


def check(file: BinaryIO) -> None:
    """Raises before arrays of numbers and text take more memory than they are.

    Args:
        file: an archive of `numpy.savez`, which is left at its start.

    Raises:
        CheckpointError: an array is compressed, cut off or of other values.
    """
    with zip_archives.open_archive(
        file, MemoryBudget(file.seek(0, io.SEEK_END))
    ) as archive:
        total = sum(
            _read_header(archive, name, f"{NUMBERS}US").nbytes
            for name in archive.namelist()
        )
        if total > file.seek(0, io.SEEK_END):
            raise CheckpointError("It has the same array several times.")
    file.seek(0)


class _OtherModelError(CheckpointError):
    """The arrays are those of another model."""


def _read(archive, names, variables, budget) -> list[np.ndarray]:
    if variables is not None and len(names) != len(variables):
        raise _OtherModelError(
            f"{len(names)} arrays for {len(variables)} variables"
        )
    for index, name in enumerate(names):
        header = _read_header(archive, name)
        budget.reserve(header.nbytes)
        if variables is None:
            continue
        variable = variables[index]
        if header.shape != tuple(variable.shape):
            raise _OtherModelError(
                f"{header.shape} for {tuple(variable.shape)} of {variable.path}"
            )
    return [_read_array(archive, name) for name in names]


def _read_header(
    archive: zipfile.ZipFile, name: str, kinds: str = NUMBERS
) -> _Header:
    """Read the header of an array, not its values."""
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise CheckpointError(f"{name!r} is compressed.")
    with archive.open(name) as content:
        version = npy.read_magic(content)
        if version not in HEADERS:
            raise CheckpointError(f"{name!r} has the format {version}.")
        header = _Header(*HEADERS[version](content, LONGEST_HEADER))
        if header.dtype.kind not in kinds or header.dtype.subdtype:
            raise CheckpointError(f"{name!r} is not of numbers.")
        if header.nbytes > archive.getinfo(name).file_size:
            raise CheckpointError(f"{name!r} is cut off.")
        return header


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as content:
        return npy.read_array(content, max_header_size=LONGEST_HEADER)
