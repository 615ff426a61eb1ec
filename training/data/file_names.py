"""File names: which are text, and which are left behind by other programs."""

import collections
import os
import posixpath

NOT_TEXT = "its name is not UTF-8 text; rename it"
KINDS_NAMED = 8
# What unpacking and operating systems leave beside the user's files; names
# with a dot first, such as macOS's ._clip.mp4, are among them too.
LEAVINGS = frozenset(
    (
        "__macosx",
        "@eadir",
        "@tmp",
        "@recycle",
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "recycler",
        "system volume information",
        "lost+found",
        "found.000",
        "thumbs.db",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "desktop.ini",
        "icon\r",
        "__pycache__",
    )
)


def is_leaving(name: str) -> bool:
    """Whether a file or folder is hidden or left by an operating system."""
    return name.startswith(".") or name.lower() in LEAVINGS


def is_text(path: str) -> bool:
    """Whether a path is UTF-8 text; Python marks other bytes as surrogates.

    TensorFlow, JSON and SQLite take no other names.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(path: str) -> str:
    """A path for the screen and for files, with U+FFFD for what is no text."""
    return os.fsencode(path).decode("utf-8", "replace")


def ending_of(path: str) -> str:
    """The ending of a file's name in lower case, "" if it has none."""
    return posixpath.splitext(path)[1].lower()


def counted(endings: collections.Counter[str]) -> str:
    """Numbers of files by ending, such as "3 .txt, 1 without an ending"."""
    kinds = [
        f"{count} {printable(ending) or 'without an ending'}"
        for ending, count in endings.most_common(KINDS_NAMED)
    ]
    more = len(endings) - len(kinds)
    if more > 0:
        kinds.append(f"and {more} more kinds")
    return ", ".join(kinds)
