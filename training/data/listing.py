"""What the files of a data set say: which videos, with which labels."""

import codecs
import csv
import dataclasses
import io
import json
import math
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf

from training.errors import UserError

SPLITS = ("train", "validation", "test")


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
    """

    classes: tuple[str, ...]
    splits: dict[str, list[Video]]
    multi_label: bool = False
    skips_unlabelled: bool = False


def read_lines(path: str | os.PathLike) -> Iterator[tuple[str, str]]:
    """Lines of a text file that are not blank, with "file:line" for errors.

    Raises:
        UserError: there is no such file, or it is not UTF-8 text.
    """
    # One line at a time: a list of frames has millions.
    for number, raw in enumerate(io.BytesIO(_read_bytes(path)), start=1):
        where = f"{path}:{number}"
        line = _decode(raw, where).strip()
        if line:
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
        header = next(reader, [])
        _check_header(header, list(columns), list(optional), path)
        for cells in filter(None, reader):
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
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not JSON: {error}") from error


def label_of(text: str, classes: int | None, where: str) -> int:
    """A label as written in a list, checked.

    Args:
        text: what stands there.
        classes: how many there are, if that is known.
        where: "file:line".

    Raises:
        UserError: it is no whole number, or not one of a class.
    """
    limit = f" below {classes}" if classes is not None else ""
    if not text.isascii() or not text.isdecimal():
        raise UserError(
            f"{where}: expected a label from 0{limit}. Received: {text!r}"
        )
    if classes is not None and int(text) >= classes:
        raise UserError(
            f"{where}: expected a label from 0{limit}. Received: {text}"
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
    """Names in a folder, sorted, without the hidden ones.

    Raises:
        UserError: there is no such folder, or it cannot be listed.
    """
    if "://" in path:
        path = f"{path.rstrip('/')}/"  # else a bucket is no folder
    try:
        names = tf.io.gfile.listdir(path)
    except tf.errors.NotFoundError as error:
        raise UserError(f"There is no folder {path}.") from error
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be listed: {error}") from error
    # Object stores list a folder with a slash.
    return sorted(n.rstrip("/") for n in names if not n.startswith("."))


def folders_in(path: str) -> list[str]:
    """Names of the folders in a folder, sorted, without the hidden ones."""
    names = list_folder(path)
    return [n for n in names if tf.io.gfile.isdir(inside(path, n))]


def files_in(path: str) -> list[str]:
    """Paths of all files below a folder, relative to it, none hidden."""
    files = []
    for name in list_folder(path):
        below = inside(path, name)
        if tf.io.gfile.isdir(below):
            files += [f"{name}/{file}" for file in files_in(below)]
        else:
            files.append(name)
    return files


def _read_bytes(path: str | os.PathLike) -> bytes:
    try:
        with tf.io.gfile.GFile(os.fspath(path), "rb") as file:
            return file.read().removeprefix(codecs.BOM_UTF8)
    except tf.errors.NotFoundError as error:
        raise UserError(f"There is no file {path}.") from error
    except tf.errors.OpError as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def _decode(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: expected UTF-8 text: {error}") from error


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
