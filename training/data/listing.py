"""What the files of a data set say: which videos, with which labels."""

import csv
import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf

from training.errors import UserError

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class Span:
    """An action that is seen in a part of a video."""

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
    """

    classes: tuple[str, ...]
    splits: dict[str, list[Video]]
    multi_label: bool = False


def read_lines(path: str | os.PathLike) -> Iterator[tuple[str, str]]:
    """Lines of a text file that are not blank, with "file:line" for errors.

    Raises:
        UserError: there is no such file, or it is not UTF-8 text.
    """
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip():
            yield line.strip(), f"{path}:{number}"


def read_text(path: str | os.PathLike) -> str:
    """A whole text file, from a disk or from wherever TensorFlow reads.

    Raises:
        UserError: there is no such file, or it is not UTF-8 text.
    """
    try:
        with tf.io.gfile.GFile(os.fspath(path), "rb") as file:
            return file.read().decode("utf-8-sig")
    except tf.errors.NotFoundError as error:
        raise UserError(f"There is no file {path}.") from error
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as text: {error}") from error


def read_table(
    path: str | os.PathLike, columns: Iterable[str], delimiter: str = ","
) -> Iterator[tuple[dict[str, str], str]]:
    """Rows of a csv file with a header, with "file:line" for errors.

    Args:
        path: of the file.
        columns: which it must have.
        delimiter: between the cells.

    Raises:
        UserError: it cannot be read, or it lacks a column.
    """
    reader = csv.DictReader(
        read_text(path).splitlines(), delimiter=delimiter, strict=True
    )
    missing = [c for c in columns if c not in (reader.fieldnames or ())]
    if missing:
        raise UserError(
            f"Expected a header with {', '.join(columns)} in {path}. "
            f"Received: {', '.join(reader.fieldnames or ())}"
        )
    try:
        for row in reader:
            where = f"{path}:{reader.line_num}"
            if None in row.values() or None in row:
                raise UserError(
                    f"{where}: expected {len(reader.fieldnames or ())} cells. "
                    f"Received: {len(row)}"
                )
            yield row, where
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
