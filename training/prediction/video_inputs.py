"""List the input videos among files, folders and URLs."""

import dataclasses
import os
from collections.abc import Callable, Sequence

from ..data import file_tree, folder_paths, video_file_types
from ..io import file_names
from ..io.paths import as_path, is_url
from ..io.user_error import UserError

# PyAV opens these itself; web servers do not list folders.
WEB = ("http://", "https://")


@dataclasses.dataclass(frozen=True)
class Input:
    """One input of a prediction.

    Attributes:
        path: path or URL of a video or clip file.
        reason: error of an input that cannot be read.
    """

    path: str
    reason: str = ""


def list_inputs(
    paths: Sequence[str], say: Callable[[str], None] = print
) -> list[Input]:
    """List files, and all videos below folders.

    Args:
        paths: files, folders or URLs.
        say: called with a note on each kind of skipped files.

    Returns:
        Inputs in the order of `paths`, without duplicates.
    """
    inputs: dict[str, Input] = {}
    for path in paths:
        for source in _inputs(path, say):
            inputs.setdefault(_identity(source.path), source)
    return list(inputs.values())


def _inputs(path: str, say: Callable[[str], None]) -> list[Input]:
    if not file_names.is_text(path):
        return [_unnamed(path)]
    try:
        if path.startswith(WEB) or not as_path(path).is_dir():
            return [Input(path)]
        inputs = _below(path, say)
    except UserError as error:
        return [Input(path, str(error))]
    except OSError as error:  # no permission, or too long a name
        return [Input(path, f"it cannot be read: {error.strerror}")]
    if not inputs:
        expected = video_file_types.EXAMPLES
        return [Input(path, f"there is no video ({expected}) in this folder")]
    return inputs


def _below(root: str, say: Callable[[str], None]) -> list[Input]:
    """List the videos below a folder in the order of their names.

    Unlike in data sets, which must be complete, a folder or name that cannot
    be read does not exclude the other videos.
    """
    inputs: list[Input] = []

    def refused(error: OSError):
        reason = f"this folder cannot be read: {error.strerror}"
        inputs.append(Input(file_names.printable(error.filename), reason))

    tree = file_tree.read(root, refused)
    videos, other_files = video_file_types.sort_out(root, tree.files)
    for note in (*video_file_types.skipped_note(other_files), *tree.notes()):
        say(f"note: {root}: {note}")
    for video in videos:
        path = folder_paths.join_path(root, video)
        text = file_names.is_text(path)
        inputs.append(Input(path) if text else _unnamed(path))
    return sorted(inputs, key=lambda source: source.path.split("/"))


def _unnamed(path: str) -> Input:
    return Input(file_names.printable(path), file_names.NOT_TEXT)


def _identity(path: str) -> str:
    return path if is_url(path) else os.path.realpath(path)
