"""What a user wants to have looked at: files, folders and URLs."""

import dataclasses
import os
from collections.abc import Callable, Sequence

from ..data import file_names, file_tree, listing, video_names
from ..io import remote
from ..io.user_error import UserError

# PyAV opens these itself; a web server lists no folders.
WEB = ("http://", "https://")


@dataclasses.dataclass(frozen=True)
class Input:
    """One thing to look at.

    Attributes:
        path: of a video or a clip file, or its URL.
        reason: why it cannot be looked at, where that is known already.
    """

    path: str
    reason: str = ""


def find(
    paths: Sequence[str], say: Callable[[str], None] = print
) -> list[Input]:
    """Files as they are given, and all videos below folders.

    Args:
        paths: files, folders or URLs.
        say: is called with a line for each kind of things that are left out.

    Returns:
        In the order of `paths`, each once, however often it is named.
    """
    found: dict[str, Input] = {}
    for path in paths:
        for one in _inputs(path, say):
            found.setdefault(_identity(one.path), one)
    return list(found.values())


def _inputs(path: str, say: Callable[[str], None]) -> list[Input]:
    if not file_names.is_text(path):
        return [_unnamed(path)]
    try:
        if path.startswith(WEB) or not remote.as_path(path).is_dir():
            return [Input(path)]
        found = _below(path, say)
    except UserError as error:
        return [Input(path, str(error))]
    except OSError as error:  # no right to look, or too long a name
        return [Input(path, f"it cannot be read: {error.strerror}")]
    if not found:
        expected = video_names.SOME
        return [Input(path, f"there is no video ({expected}) in this folder")]
    return found


def _below(root: str, say: Callable[[str], None]) -> list[Input]:
    """The videos below a folder, in the order of their names.

    Unlike those of data sets, in which nothing may be missing, the others are
    looked at where a folder or a name cannot be read.
    """
    inputs: list[Input] = []

    def refused(error: OSError):
        reason = f"this folder cannot be read: {error.strerror}"
        inputs.append(Input(file_names.printable(error.filename), reason))

    tree = file_tree.read(root, refused)
    videos, others = video_names.sort_out(root, tree.files)
    for note in (*video_names.passed_over(others), *tree.notes()):
        say(f"note: {root}: {note}")
    for video in videos:
        path = listing.inside(root, video)
        text = file_names.is_text(path)
        inputs.append(Input(path) if text else _unnamed(path))
    return sorted(inputs, key=lambda one: one.path.split("/"))


def _unnamed(path: str) -> Input:
    return Input(file_names.printable(path), file_names.NOT_TEXT)


def _identity(path: str) -> str:
    return path if remote.is_url(path) else os.path.realpath(path)
