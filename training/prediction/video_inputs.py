"""What a user wants to have looked at: files, folders and URLs."""

import dataclasses
import os
from collections.abc import Sequence

from training import remote
from training.data import clips, listing
from training.data.folder import EXTENSIONS
from training.errors import UserError

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

    @property
    def is_clip(self) -> bool:
        """Whether it holds pixels, all of which are looked at."""
        return self.path.partition("?")[0].lower().endswith(clips.READERS)


def find(paths: Sequence[str]) -> list[Input]:
    """Files as they are given, and all videos below folders.

    Args:
        paths: files, folders or URLs.

    Returns:
        In the order of `paths`, each once, however often it is named.
    """
    found: dict[str, Input] = {}
    for path in paths:
        for one in _inputs(path):
            found.setdefault(_identity(one.path), one)
    return list(found.values())


def _inputs(path: str) -> list[Input]:
    if _is_no_text(path):
        return [_unnamed(path)]
    try:
        if path.startswith(WEB) or not remote.as_path(path).is_dir():
            return [Input(path)]
        if not remote.is_url(path):
            found = _below(path)
        else:
            names = filter(_is_video, listing.files_in(path))
            found = [Input(listing.inside(path, name)) for name in names]
    except UserError as error:
        return [Input(path, str(error))]
    except OSError as error:  # no right to look, or too long a name
        return [Input(path, f"it cannot be read: {error.strerror}")]
    if not found:
        expected = " ".join(EXTENSIONS)
        return [Input(path, f"there is no video ({expected}) in this folder")]
    return found


def _below(root: str) -> list[Input]:
    """The videos below a folder of this machine, in the order of their names.

    Unlike those of data sets, in which nothing may be missing, the others are
    looked at where a folder or a name cannot be read. Links are followed, and
    each folder is looked into once.
    """
    found: list[Input] = []
    seen = {os.path.realpath(root)}

    def refused(error: OSError):
        reason = f"this folder cannot be read: {error.strerror}"
        found.append(Input(_shown(error.filename), reason))

    def is_new(path: str) -> bool:
        real = os.path.realpath(path)
        if real in seen:
            return False
        seen.add(real)
        return True

    for folder, below, names in os.walk(root, True, refused, followlinks=True):
        below[:] = [
            name
            for name in sorted(below)
            if not name.startswith(".") and is_new(os.path.join(folder, name))
        ]
        for name in names:
            path = os.path.join(folder, name)
            if _is_video(name) and not name.startswith("."):
                found.append(
                    _unnamed(path) if _is_no_text(path) else Input(path)
                )
    return sorted(found, key=lambda one: one.path.split("/"))


def _is_video(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS)


def _is_no_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return True
    return False


def _unnamed(path: str) -> Input:
    return Input(_shown(path), "its name is not UTF-8 text; rename it")


def _shown(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "replace")


def _identity(path: str) -> str:
    return path if remote.is_url(path) else os.path.realpath(path)
