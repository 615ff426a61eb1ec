"""File names: text encoding, extensions, and files of operating systems."""

import collections
import os
import posixpath

NOT_TEXT = "its name is not UTF-8 text; rename it"
KINDS_NAMED = 8
# Files of archivers and operating systems; hidden files such as macOS's
# ._clip.mp4 count too.
SYSTEM_FILES = frozenset(
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


def is_system_file(name: str) -> bool:
    """Return whether a name is hidden or one of an operating system."""
    return name.startswith(".") or name.lower() in SYSTEM_FILES


def is_text(path: str) -> bool:
    """Return whether a path is UTF-8; Python keeps other bytes as surrogates.

    TensorFlow, JSON and SQLite reject other names.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(path: str) -> str:
    """Replace bytes of a path that are not UTF-8 by U+FFFD, for output."""
    return os.fsencode(path).decode("utf-8", "replace")


def extension(path: str) -> str:
    """Return the extension of a file name in lower case; may be ""."""
    return posixpath.splitext(path)[1].lower()


def counted(extensions: collections.Counter[str]) -> str:
    """Format file counts, such as "3 .txt, 1 without an extension"."""
    kinds = [
        f"{count} {printable(name) or 'without an extension'}"
        for name, count in extensions.most_common(KINDS_NAMED)
    ]
    remaining = len(extensions) - len(kinds)
    if remaining > 0:
        kinds.append(f"and {remaining} more kinds")
    return ", ".join(kinds)
