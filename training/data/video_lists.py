"""Parse lines of a path and numbers in lists of videos.

Lists come from many programs, so unambiguous variants are accepted: quoted
paths, trailing separators, a header, backslashes of Windows. If a line uses
another separator than `data.separator`, the error names this setting.
"""

import math
import os
import re
from collections.abc import Iterator
from typing import Any

from ..io.file_names import extension
from ..io.user_error import UserError
from . import folder_paths, text_files
from .data_config import DataConfig
from .video_file_types import EXTENSIONS

SEPARATORS = {
    "comma": ",",
    "tab": "\t",
    "space": " ",
    "semicolon": ";",
    "vertical bar": "|",
}
MARKS = ",;|:\t"  # never the last character of a file name
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
QUOTED = re.compile(r'"((?:[^"]|"")*)"')
WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
HEADER = frozenset(
    (
        "path paths file files filename file_name filepath file_path name id "
        "video videos video_id video_name video_path clip clip_path frame_dir "
        "dir directory folder offset start_frame start_index frames "
        "num_frames total_frames n_frames label labels class classes class_id "
        "class_idx class_index label_id label_idx target category y"
    ).split()
)


MAX_LABEL_DIGITS = 9


def parse_label(
    text: str, classes: int | None, where: str, hint: str = ""
) -> int:
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
    if (
        not text.isascii()
        or not text.isdecimal()
        or len(text) > MAX_LABEL_DIGITS
    ):
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


def parse_count(text: str, what: str, where: str) -> int:
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


def parse_seconds(text: Any, where: str) -> float:
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


def separator_of(data: DataConfig) -> str:
    """Return the separator of a list; "\\\\t" stands for a tab.

    Raises:
        UserError: it is empty.
    """
    if not data.separator:
        raise UserError("Expected data.separator to be a text. Received: ''")
    return data.separator.replace("\\t", "\t")


def rows(path: str, separator: str) -> Iterator[tuple[str, str]]:
    """Yield lines of a list without its header, each with "file:line".

    Raises:
        UserError: the list cannot be read.
    """
    for number, (line, where) in enumerate(text_files.read_lines(path)):
        if number or not is_header(line, separator):
            yield line, where


def is_header(line: str, separator: str) -> bool:
    """Return whether a line is a header, such as "path label"."""
    cells = line.lower().split(None if separator == " " else separator)
    names = [cell.strip(' \t"') for cell in cells]
    return len(names) > 1 and HEADER.issuperset(names)


def last_cell(line: str, separator: str) -> tuple[str, str]:
    """Split a line at its last separator into path and label."""
    name, _, label = _trimmed(line, separator).rpartition(separator)
    return _unquoted(name), _unquoted(label)


def divide(line: str, separator: str) -> tuple[str, list[str]]:
    """Split a line into a path and the cells after it.

    The path may contain separators. It ends with the last cell with a video
    extension or, if there is none, with the last cell that is not a number.
    """
    line = _trimmed(line, separator)
    # As in MMAction2, a space means any white space.
    mark = None if separator == " " else separator
    quoted = QUOTED.match(line)
    if quoted:
        rest = line[quoted.end() :].strip().removeprefix(separator)
        cells = rest.split(mark) if rest else []
        return _unquoted(quoted[0]), [_unquoted(cell) for cell in cells]
    cells = [_unquoted(cell) for cell in line.split(mark)]
    is_path = [extension(cell) in EXTENSIONS for cell in cells]
    if not any(is_path):
        is_path = [not NUMBER.fullmatch(cell) for cell in cells]
    last = max((i for i, is_end in enumerate(is_path) if is_end), default=0)
    path = line.rsplit(mark, len(cells) - 1 - last)[0]
    return _unquoted(path), cells[last + 1 :]


def with_numbers(
    root: str, path: str, cells: list[str], separator: str, least: int
) -> tuple[str, list[str]]:
    """Move numbers from the cells to the path if only that path exists.

    Args:
        root: folder of the data set.
        path: path of a line, from `divide`.
        cells: cells after the path.
        separator: separator between cells.
        least: minimum number of cells to keep.

    Returns:
        Path and cells; unchanged if no longer path exists.
    """
    if len(cells) <= least or "://" in root:
        return path, cells
    longer = path
    for count, cell in enumerate(cells[: len(cells) - least + 1]):
        if os.path.exists(folder_paths.join_path(root, longer)):
            return longer, cells[count:]
        longer += f"{separator}{cell}"
    return path, cells


def check_path(path: str, line: str, separator: str, where: str) -> None:
    """Raise a UserError if a path ends with another separator."""
    if path.endswith(tuple(MARKS)) and path[-1] != separator:
        raise UserError(
            f"{where}: expected {separator!r} between path and label. "
            f"Received: {line!r}.{hint(line, separator)}"
        )


def hint(line: str, separator: str) -> str:
    """Guess the mistake in a line, as the end of an error message."""
    if "youtube_id" in line:
        return " For Kinetics' own lists, use --set dataset=kinetics"
    first, _, rest = line.partition(separator)
    is_video = extension(rest.strip()) in EXTENSIONS
    if is_video and NUMBER.fullmatch(first.strip()):
        return " The path comes first, its label after it"
    return separator_hint(line, separator)


def separator_hint(line: str, separator: str) -> str:
    """Suggest `data.separator` if another separator precedes a number."""
    for name, other in SEPARATORS.items():
        if other == separator:
            continue
        path, _, label = line.strip().rpartition(other)
        is_cell = NUMBER.fullmatch(_unquoted(label)) and path.strip(MARKS + " ")
        # In ", " the comma is the separator.
        is_blank = other == " " and path.rstrip().endswith(tuple(MARKS))
        if (is_cell and not is_blank) or is_header(line, other):
            typed = other.replace("\t", "\\t")
            return (
                f' If a {name} separates them: --set data.separator="{typed}"'
            )
    return ""


def path_of(root: str, name: str, where: str) -> str:
    """Return the path of a video in a list, below `root` unless absolute.

    Raises:
        UserError: it is an absolute path of Windows.
    """
    if WINDOWS.match(name) and not os.path.exists(
        folder_paths.join_path(root, name)
    ):
        raise UserError(
            f"{where}: expected a path of this machine. Received: {name!r}. "
            "Make the paths of the list relative to data.root"
        )
    if "\\" in name and not os.path.exists(folder_paths.join_path(root, name)):
        name = name.replace("\\", "/")
    return folder_paths.join_path(root, os.path.expanduser(name))


def _trimmed(line: str, separator: str) -> str:
    """Remove trailing separators."""
    while line.endswith((separator, " ", "\t")) and line:
        line = line.removesuffix(separator).rstrip()
    return line


def _unquoted(cell: str) -> str:
    cell = cell.strip()
    quoted = QUOTED.fullmatch(cell)
    return quoted[1].replace('""', '"') if quoted else cell
