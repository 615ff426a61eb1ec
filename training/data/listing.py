"""What the files of a data set say: which videos, with which labels."""

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

import tensorflow as tf

from ..io import atomic_files, json_text
from ..io.user_error import UserError
from . import file_names

SPLITS = ("train", "validation", "test")
MOST_DIGITS = 9
_NOT_UTF8 = "expected UTF-8 text; save it as such"


@dataclasses.dataclass(frozen=True)
class Span:
    """An action that is seen in a part of a video, both ends included."""

    label: int
    start_s: float
    end_s: float


@dataclasses.dataclass(frozen=True)
class Video:
    """One entry of a list.

    Attributes:
        path: of a video file, of a folder of JPEG frames, or of a TFRecord
            shard.
        labels: indices of its classes; empty where it is not labelled.
        spans: where in the video each label is seen, for those data sets that
            say so; a label without a span is seen throughout.
        frames: how many it has, where the list says so.
        frame_name: of a frame in the folder, as `str.format` takes it with
            the frame's number.
        first_frame: number of the first frame in the folder.
        fps: frames a second, where the data set says so.
        offset: of the record in its shard, in bytes.
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
        classes: their names, in the order of the labels.
        splits: videos of "train", "validation" and "test"; a data set may
            lack one.
        multi_label: whether a video may have several classes or none.
        skips_unlabelled: whether mean average precision leaves out videos
            without a class, as the official script of Charades does.
        notes: lines about what was left out or looks like a mistake.
    """

    classes: tuple[str, ...]
    splits: dict[str, list[Video]]
    multi_label: bool = False
    skips_unlabelled: bool = False
    notes: tuple[str, ...] = ()


def read_lines(path: str | os.PathLike) -> Iterator[tuple[str, str]]:
    """Lines of a text file that are neither blank nor comments.

    Lines end as on Unix, Windows or old Macs (CR). A comment begins with "#"
    and a space: names of HMDB51's videos begin with "#" alone.

    Yields:
        Each line without white space around it, and "file:line" for errors.

    Raises:
        UserError: there is no such file, or it is not UTF-8 text.
    """
    content = _read_bytes(path)
    content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    # One line at a time: a list of frames has millions.
    for number, raw in enumerate(io.BytesIO(content), start=1):
        where = f"{path}:{number}"
        # Files with a mark may have been put behind each other.
        line = _decode(raw, where).lstrip("\ufeff").strip()
        if line and line != "#" and not line.startswith(("# ", "#\t")):
            yield line, where


def read_text(path: str | os.PathLike) -> str:
    """A whole text file, from a disk or from wherever TensorFlow reads.

    Raises:
        UserError: there is no such file, or it is not UTF-8 text.
    """
    return _decode(_read_bytes(path), str(path))


def read_table(
    path: str | os.PathLike,
    columns: Iterable[str],
    optional: Iterable[str] = (),
    delimiter: str = ",",
) -> Iterator[tuple[dict[str, str], str]]:
    """Rows of a csv file with a header, with "file:line" for errors.

    Args:
        path: of the file.
        columns: which it must have.
        optional: which it may have.
        delimiter: between the cells.

    Raises:
        UserError: it cannot be read, it lacks a column, or it has another.
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
    """The content of a JSON file.

    Raises:
        UserError: it cannot be read or is not JSON.
    """
    try:
        return json_text.parse(read_text(path))
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error


def label_of(text: str, classes: int | None, where: str, hint: str = "") -> int:
    """A label as written in a list, checked.

    Args:
        text: what stands there.
        classes: how many there are, if that is known.
        where: "file:line".
        hint: what may be the matter if it is no number, for the message.

    Raises:
        UserError: it is no whole number, or not one of a class.
    """
    limit = f" below {classes}" if classes is not None else ""
    expected = f"{where}: expected a label from 0{limit}. Received: "
    if not text.isascii() or not text.isdecimal() or len(text) > MOST_DIGITS:
        if re.fullmatch(r"\d+\.0*", text):
            hint = f" Write it as a whole number: {text.partition('.')[0]}"
        raise UserError(f"{expected}{text!r}{hint and '.' + hint}")
    if classes is not None and int(text) >= classes:
        # Lists of some programs count from 1.
        start = ". If the list counts from 1, subtract 1 from all its labels"
        raise UserError(
            f"{expected}{text}{start if int(text) == classes else ''}"
        )
    return int(text)


def inside(root: str, path: str) -> str:
    """`path` as it is if it is absolute or a URL, else below `root`."""
    if "://" in path or pathlib.PurePath(path).is_absolute() or not root:
        return path
    return f"{root.rstrip('/')}/{path}"


def count_of(text: str, what: str, where: str) -> int:
    """A number as written in a list, checked.

    Args:
        text: what stands there.
        what: it counts, for the message.
        where: "file:line".

    Raises:
        UserError: it is no whole number.
    """
    if not text.isascii() or not text.isdecimal():
        raise UserError(f"{where}: expected {what}. Received: {text!r}")
    return int(text)


def seconds_of(text: Any, where: str) -> float:
    """A time as written in a list, checked.

    Raises:
        UserError: it is not a number of seconds from 0.
    """
    try:
        seconds = float(text)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise UserError(f"{where}: expected seconds. Received: {text!r}")
    return seconds


def list_folder(path: str) -> list[str]:
    """Names in a folder, sorted, without hidden ones and leavings.

    Those of this machine that are no text have surrogates in them.

    Raises:
        UserError: there is no such folder, or it cannot be listed.
    """
    try:
        names = names_in(path)
    except FileNotFoundError as error:
        raise UserError(f"There is no folder {path}.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be listed: {error}") from error
    return sorted(n for n in names if not file_names.is_leaving(n))


def names_in(path: str) -> list[str]:
    """All names in a folder, in no order.

    Raises:
        OSError: it cannot be listed; FileNotFoundError if there is none.
    """
    if "://" not in path:
        return os.listdir(path)
    try:
        # Without a slash a bucket is no folder; object stores list folders
        # with one.
        names = tf.io.gfile.listdir(f"{path.rstrip('/')}/")
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(error.message) from error
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        raise OSError(getattr(error, "message", str(error))) from error
    return [name.rstrip("/") for name in names]


def folders_in(path: str) -> list[str]:
    """Names of the folders in a folder, sorted, without hidden ones."""
    names = filter(file_names.is_text, list_folder(path))
    return [n for n in names if tf.io.gfile.isdir(inside(path, n))]


def matching(pattern: str) -> list[str]:
    """Paths of the files that a pattern matches, sorted.

    Raises:
        UserError: the folder cannot be listed, or a name is no text.
    """
    if "://" not in pattern:
        paths = glob.glob(pattern)
    else:
        try:
            paths = tf.io.gfile.glob(pattern)
        except tf.errors.OpError as error:
            raise UserError(f"{pattern} cannot be listed: {error}") from error
    for path in paths:
        if not file_names.is_text(path):
            raise UserError(
                f"{file_names.printable(path)}: {file_names.NOT_TEXT}."
            )
    return sorted(paths)


def _read_bytes(path: str | os.PathLike) -> bytes:
    if atomic_files.is_endless(path):
        raise UserError(f"{path} cannot be read: {atomic_files.ENDLESS}.")
    try:
        with tf.io.gfile.GFile(os.fspath(path), "rb") as file:
            return _as_utf8(file.read(), path)
    except tf.errors.NotFoundError as error:
        raise UserError(f"There is no file {path}.") from error
    except tf.errors.OpError as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def _as_utf8(content: bytes, path: str | os.PathLike) -> bytes:
    """Text in UTF-8 without a mark; Windows writes UTF-16 with one."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return content.decode("utf-16").encode()
        except UnicodeError as error:
            raise UserError(f"{path}: {_NOT_UTF8}: {error}") from error
    if b"\0" in content:
        raise UserError(f"{path}: {_NOT_UTF8}. Received: bytes of zero")
    return content.removeprefix(codecs.BOM_UTF8)


def _decode(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: {_NOT_UTF8}: {error}") from error


def _trimmed(cells: list[str], length: int) -> list[str]:
    """Cells without empty ones at the end, but at least so many."""
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
        also = f" and perhaps {', '.join(optional)}" if optional else ""
        raise UserError(
            f"{path}:1: expected a header with {', '.join(columns)}{also}. "
            f"Received: {', '.join(header)}"
        )
