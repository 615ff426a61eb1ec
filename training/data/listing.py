"""Videos, labels and splits of a data set, and readers of list files."""

import codecs
import csv
import dataclasses
import glob
import io
import math
import os
import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from ..io import atomic_files, json_text, paths
from ..io.user_error import UserError
from . import file_names

MOST_DIGITS = 9
_NOT_UTF8 = "expected UTF-8 text; save it as such"


@dataclasses.dataclass(frozen=True)
class Span:
    """A label with start and end times, both included."""

    label: int
    start_s: float
    end_s: float


@dataclasses.dataclass(frozen=True)
class Video:
    """One video of a data set.

    Attributes:
        path: path of a video file, a folder of JPEG frames, or a TFRecord
            shard.
        labels: indices of its classes; empty without labels.
        spans: times of labels, in data sets that have them; a label without
            a span holds for the whole video.
        frames: number of frames; None if the list does not give it.
        frame_name: format string of frame names in the folder, applied to a
            frame number.
        first_frame: number of the first frame in the folder.
        fps: frames per second; None if the data set does not give it.
        offset: offset of the record in its shard, in bytes.
    """

    path: str
    labels: tuple[int, ...] = ()
    spans: tuple[Span, ...] = ()
    frames: int | None = None
    frame_name: str = "img_{:05}.jpg"
    first_frame: int = 1
    fps: float | None = None
    offset: int = 0


@dataclasses.dataclass(frozen=True)
class Listing:
    """All videos of a data set.

    Attributes:
        classes: class names in the order of the labels.
        splits: videos of "train", "validation" and "test"; a split may be
            missing.
        multi_label: whether a video may have several classes or none.
        skips_unlabelled: whether mean average precision leaves out videos
            without a class, as the official script of Charades does.
        notes: warnings about skipped files and likely mistakes.
    """

    classes: tuple[str, ...]
    splits: dict[str, list[Video]]
    multi_label: bool = False
    skips_unlabelled: bool = False
    notes: tuple[str, ...] = ()


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
    delimiter: str = ",",
) -> Iterator[tuple[dict[str, str], str]]:
    """Yield rows of a csv file with a header, with "file:line" for errors.

    Args:
        path: the csv file.
        columns: required columns.
        optional: optional columns.
        delimiter: separator of the cells.

    Raises:
        UserError: it cannot be read, or a column is missing or unknown.
    """
    text = io.StringIO(read_text(path), newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True)
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


def label_of(text: str, classes: int | None, where: str, hint: str = "") -> int:
    """Parse a label in a list.

    Args:
        text: text of the label.
        classes: number of classes; None if unknown.
        where: "file:line", for errors.
        hint: end of the error message if it is not a number.

    Raises:
        UserError: it is not a whole number or not below `classes`.
    """
    limit = f" below {classes}" if classes is not None else ""
    expected = f"{where}: expected a label from 0{limit}. Received: "
    if not text.isascii() or not text.isdecimal() or len(text) > MOST_DIGITS:
        if re.fullmatch(r"\d+\.0*", text):
            hint = f" Write it as a whole number: {text.partition('.')[0]}"
        raise UserError(f"{expected}{text!r}{hint and '.' + hint}")
    if classes is not None and int(text) >= classes:
        # Some programs count labels from 1.
        start = ". If the list counts from 1, subtract 1 from all its labels"
        raise UserError(
            f"{expected}{text}{start if int(text) == classes else ''}"
        )
    return int(text)


def inside(root: str, path: str) -> str:
    """Join `root` and `path`, unless `path` is absolute or a URL."""
    if "://" in path or pathlib.PurePath(path).is_absolute() or not root:
        return path
    return f"{root.rstrip('/')}/{path}"


def count_of(text: str, what: str, where: str) -> int:
    """Parse a whole number in a list.

    Args:
        text: text of the number.
        what: description of the number, for errors.
        where: "file:line", for errors.

    Raises:
        UserError: it is not a whole number.
    """
    if not text.isascii() or not text.isdecimal():
        raise UserError(f"{where}: expected {what}. Received: {text!r}")
    return int(text)


def seconds_of(text: Any, where: str) -> float:
    """Parse a time in seconds in a list.

    Raises:
        UserError: it is not a number from 0.
    """
    try:
        seconds = float(text)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise UserError(f"{where}: expected seconds. Received: {text!r}")
    return seconds


def list_folder(path: str) -> list[str]:
    """List names in a folder, sorted, without hidden and system files.

    Local names that are not UTF-8 contain surrogates.

    Raises:
        UserError: the folder does not exist or cannot be listed.
    """
    try:
        names = names_in(path)
    except FileNotFoundError as error:
        raise UserError(f"There is no folder {path}.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be listed: {error}") from error
    return sorted(n for n in names if not file_names.is_system_file(n))


def names_in(path: str) -> list[str]:
    """List all names in a folder, unsorted.

    Raises:
        OSError: it cannot be listed; FileNotFoundError if it does not exist.
    """
    if "://" not in path:
        return os.listdir(path)
    return [entry.name for entry in paths.as_path(path).iterdir()]


def folders_in(path: str) -> list[str]:
    """List subfolders by name, sorted, without hidden ones."""
    names = filter(file_names.is_text, list_folder(path))
    return [n for n in names if paths.as_path(inside(path, n)).is_dir()]


def matching(pattern: str) -> list[str]:
    """List the files that match a pattern, sorted.

    Raises:
        UserError: the folder cannot be listed, or a name is not UTF-8.
    """
    if "://" not in pattern:
        names = glob.glob(pattern)
    else:
        url = paths.as_path(pattern)
        urls = [url] if url.exists() else url.parent.glob(url.name)
        names = list(map(str, urls))
    for name in names:
        if not file_names.is_text(name):
            raise UserError(
                f"{file_names.printable(name)}: {file_names.NOT_TEXT}."
            )
    return sorted(names)


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
