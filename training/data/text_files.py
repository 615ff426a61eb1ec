"""Read list files: lines, csv tables and JSON."""

import codecs
import csv
import io
import os
from collections.abc import Iterable, Iterator
from typing import Any

from ..io import atomic_files, json_text, paths
from ..io.user_error import UserError

_NOT_UTF8 = "expected UTF-8 text; save it as such"


def read_lines(path: str | os.PathLike) -> Iterator[tuple[str, str]]:
    """Yield lines of a text file that are neither blank nor comments.

    Line ends are those of Unix, Windows or old Macs (CR). A comment begins with
    "#" and a space: some video names of HMDB51 begin with "#".

    Yields:
        Each line, stripped, and "file:line" for errors.

    Raises:
        UserError: the file does not exist or is not UTF-8 text.
    """
    content = _read_bytes(path)
    content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    # One line at a time: a list of frames has millions.
    for number, raw in enumerate(io.BytesIO(content), start=1):
        where = f"{path}:{number}"
        # Concatenated files have byte order marks inside.
        line = _decode(raw, where).lstrip("\ufeff").strip()
        if line and line != "#" and not line.startswith(("# ", "#\t")):
            yield line, where


def read_text(path: str | os.PathLike) -> str:
    """Read a text file from a path or URL.

    Raises:
        UserError: the file does not exist or is not UTF-8 text.
    """
    return _decode(_read_bytes(path), str(path))


def read_table(
    path: str | os.PathLike,
    columns: Iterable[str],
    optional: Iterable[str] = (),
) -> Iterator[tuple[dict[str, str], str]]:
    """Yield rows of a csv file with a header, with "file:line" for errors.

    Args:
        path: the csv file.
        columns: required columns.
        optional: optional columns.

    Raises:
        UserError: it cannot be read, or a column is missing or unknown.
    """
    text = io.StringIO(read_text(path), newline="")
    reader = csv.reader(text, strict=True)
    try:
        header = [name.strip() for name in _trimmed(next(reader, []), 0)]
        _check_header(header, list(columns), list(optional), path)
        for row in reader:
            if not "".join(row[:1]).strip() and len(row) < 2:
                continue
            cells = _trimmed(row, len(header))
            where = f"{path}:{reader.line_num}"
            if len(cells) != len(header):
                raise UserError(
                    f"{where}: expected {len(header)} cells. "
                    f"Received: {len(cells)}"
                )
            yield dict(zip(header, cells, strict=True)), where
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: {error}") from error


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file.

    Raises:
        UserError: it cannot be read or is not JSON.
    """
    try:
        return json_text.parse(read_text(path))
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error


def _read_bytes(path: str | os.PathLike) -> bytes:
    atomic_files.check_not_endless(path)
    try:
        return _as_utf8(paths.as_path(path).read_bytes(), path)
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def _as_utf8(content: bytes, path: str | os.PathLike) -> bytes:
    """Convert UTF-16 of Windows to UTF-8 and remove byte order marks."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return content.decode("utf-16").encode()
        except UnicodeError as error:
            raise UserError(f"{path}: {_NOT_UTF8}: {error}") from error
    if b"\0" in content:
        raise UserError(f"{path}: {_NOT_UTF8}. Received: null bytes")
    return content.removeprefix(codecs.BOM_UTF8)


def _decode(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: {_NOT_UTF8}: {error}") from error


def _trimmed(cells: list[str], length: int) -> list[str]:
    """Remove empty cells from the end, down to a minimum length."""
    while len(cells) > length and not cells[-1].strip():
        cells = cells[:-1]
    return cells


def _check_header(
    header: list[str],
    columns: list[str],
    optional: list[str],
    path: str | os.PathLike,
) -> None:
    missing = set(columns) - set(header)
    unknown = set(header) - {*columns, *optional}
    if missing or unknown or len(set(header)) < len(header):
        also = f" and optionally {', '.join(optional)}" if optional else ""
        raise UserError(
            f"{path}:1: expected a header with {', '.join(columns)}{also}. "
            f"Received: {', '.join(header)}"
        )
