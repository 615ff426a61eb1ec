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
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode("utf-8", "replace")
        return [Input(shown, "its name is not UTF-8 text; rename it")]
    try:
        if path.startswith(WEB) or not remote.as_path(path).is_dir():
            return [Input(path)]
        names = listing.files_in(path)
    except UserError as error:
        return [Input(path, str(error))]
    videos = [n for n in names if n.lower().endswith(EXTENSIONS)]
    if not videos:
        expected = " ".join(EXTENSIONS)
        return [Input(path, f"there is no video ({expected}) in this folder")]
    return [Input(listing.inside(path, name)) for name in videos]


def _identity(path: str) -> str:
    return path if remote.is_url(path) else os.path.realpath(path)
