"""Lines of a path and numbers, as lists of videos have them.

People write such lists with many programs. What has one meaning is read: a
path in quotes, separators at the end, a header, back-slashes of Windows. Where
another separator than `data.separator` stands, the error names that setting.
"""

import os
import re
from collections.abc import Iterator

from ..io.user_error import UserError
from ..recipes.schema import DataConfig
from . import listing
from .file_names import ending_of
from .video_names import ENDINGS

SEPARATORS = {
    "comma": ",",
    "tab": "\t",
    "space": " ",
    "semicolon": ";",
    "vertical bar": "|",
}
MARKS = ",;|:\t"  # that end no name of a file
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


def separator_of(data: DataConfig) -> str:
    """The separator that `data` names; "\\\\t" may be typed for a tab.

    Raises:
        UserError: it names none.
    """
    if not data.separator:
        raise UserError("Expected data.separator to be a text. Received: ''")
    return data.separator.replace("\\t", "\t")


def rows(path: str, separator: str) -> Iterator[tuple[str, str]]:
    """Lines of a list without its header, each with where it stands.

    Raises:
        UserError: the list cannot be read.
    """
    for number, (line, where) in enumerate(listing.read_lines(path)):
        if number or not is_header(line, separator):
            yield line, where


def is_header(line: str, separator: str) -> bool:
    """Whether a line names columns: "path label" and the like."""
    cells = line.lower().split(None if separator == " " else separator)
    names = [cell.strip(' \t"') for cell in cells]
    return len(names) > 1 and HEADER.issuperset(names)


def last_cell(line: str, separator: str) -> tuple[str, str]:
    """Path and label of a line; the path may have separators in it."""
    name, _, label = _trimmed(line, separator).rpartition(separator)
    return _unquoted(name), _unquoted(label)


def divide(line: str, separator: str) -> tuple[str, list[str]]:
    """Path of a line and all cells behind it.

    The path ends with the last cell that ends as videos do or, where there is
    none, with the last that is no number: it may have separators in it.
    """
    line = _trimmed(line, separator)
    # As in MMAction2, a space stands for any white space.
    mark = None if separator == " " else separator
    quoted = QUOTED.match(line)
    if quoted:
        rest = line[quoted.end() :].strip().removeprefix(separator)
        cells = rest.split(mark) if rest else []
        return _unquoted(quoted[0]), [_unquoted(cell) for cell in cells]
    cells = [_unquoted(cell) for cell in line.split(mark)]
    films = [ending_of(cell) in ENDINGS for cell in cells]
    ends = films if any(films) else [not NUMBER.fullmatch(c) for c in cells]
    last = max((i for i, end in enumerate(ends) if end), default=0)
    path = line.rsplit(mark, len(cells) - 1 - last)[0]
    return _unquoted(path), cells[last + 1 :]


def with_numbers(
    root: str, path: str, cells: list[str], separator: str, least: int
) -> tuple[str, list[str]]:
    """A path and the cells behind it, where numbers may end the path itself.

    Args:
        root: of the data set.
        path: of a line, from `divide`.
        cells: behind it.
        separator: between them.
        least: how many cells have to stay behind the path.

    Returns:
        The same, or a longer path that there is, where this one is missing.
    """
    if len(cells) <= least or "://" in root:
        return path, cells
    longer = path
    for count, cell in enumerate(cells[: len(cells) - least + 1]):
        if os.path.exists(listing.inside(root, longer)):
            return longer, cells[count:]
        longer += f"{separator}{cell}"
    return path, cells


def check_path(path: str, line: str, separator: str, where: str) -> None:
    """Raises a UserError if another separator than ours ends a path."""
    if path.endswith(tuple(MARKS)) and path[-1] != separator:
        raise UserError(
            f"{where}: expected {separator!r} between path and label. "
            f"Received: {line!r}.{hint(line, separator)}"
        )


def hint(line: str, separator: str) -> str:
    """What may be the matter with a line, as the end of a message."""
    if "youtube_id" in line:
        return " Kinetics' own lists are of --set dataset=kinetics"
    first, _, rest = line.partition(separator)
    if NUMBER.fullmatch(first.strip()) and ending_of(rest.strip()) in ENDINGS:
        return " The path comes first, its label behind it"
    return separator_hint(line, separator)


def separator_hint(line: str, separator: str) -> str:
    """Names `data.separator`, if another one stands before a number."""
    for name, other in SEPARATORS.items():
        if other == separator:
            continue
        path, _, label = line.strip().rpartition(other)
        is_cell = NUMBER.fullmatch(_unquoted(label)) and path.strip(MARKS + " ")
        # Of a comma and a space the comma separates.
        is_blank = other == " " and path.rstrip().endswith(tuple(MARKS))
        if (is_cell and not is_blank) or is_header(line, other):
            shown = other.replace("\t", "\\t")
            return (
                f' If a {name} separates them: --set data.separator="{shown}"'
            )
    return ""


def path_of(root: str, name: str, where: str) -> str:
    """The path of a video as a list has it, below `root` unless absolute.

    Raises:
        UserError: it is one of a machine with Windows.
    """
    if WINDOWS.match(name) and not os.path.exists(listing.inside(root, name)):
        raise UserError(
            f"{where}: expected a path of this machine. Received: {name!r}. "
            "Make the paths of the list relative to data.root"
        )
    if "\\" in name and not os.path.exists(listing.inside(root, name)):
        name = name.replace("\\", "/")
    return listing.inside(root, os.path.expanduser(name))


def _trimmed(line: str, separator: str) -> str:
    """A line without separators at its end."""
    while line.endswith((separator, " ", "\t")) and line:
        line = line.removesuffix(separator).rstrip()
    return line


def _unquoted(cell: str) -> str:
    cell = cell.strip()
    quoted = QUOTED.fullmatch(cell)
    return quoted[1].replace('""', '"') if quoted else cell
