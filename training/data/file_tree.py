"""The files below a folder, each real file and folder once.

Links are followed, but a link to a folder above it, or to what is in the tree
already, would show the same films again: in other classes, in other splits,
or without an end. Such links, and second names of a file (hard links), are
left out and listed in `Tree.again`. A file's own name goes before links to it.
"""

import collections
import contextlib
import dataclasses
import os
from collections.abc import Callable

import tensorflow as tf

from ..io.user_error import UserError
from . import listing
from .file_names import is_leaving, printable

ABOVE = "a folder above it"
NAMED = 3
Refused = Callable[[OSError], None]


@dataclasses.dataclass
class Tree:
    """Paths below a folder, relative to it, with "/" between names.

    Attributes:
        root: the folder.
        folders: below it, sorted.
        files: below it, sorted; links to files that are missing are among
            them.
        again: links and second names that are left out, and which path here
            is the same, or `ABOVE`.
        special: pipes, sockets and devices, which are left out.
    """

    root: str
    folders: list[str] = dataclasses.field(default_factory=list)
    files: list[str] = dataclasses.field(default_factory=list)
    again: dict[str, str] = dataclasses.field(default_factory=dict)
    special: list[str] = dataclasses.field(default_factory=list)

    def notes(self) -> list[str]:
        """Say what is left out, as lines for the screen."""
        lines = []
        if self.again:
            pairs = [f"{path} is {same}" for path, same in self.again.items()]
            lines.append(
                "links and second names left out, so that each file counts "
                f"once: {len(pairs)} ({listed(pairs)})"
            )
        if self.special:
            lines.append(
                "passed over, as they are pipes, sockets or devices: "
                f"{listed(self.special)}"
            )
        return lines


def listed(texts: list[str]) -> str:
    """The first of some texts, and how many more there are."""
    more = len(texts) - NAMED
    text = "; ".join(map(printable, texts[:NAMED]))
    return f"{text}; and {more} more" if more > 0 else text


def read(root: str, refused: Refused | None = None) -> Tree:
    """Lists what is below a folder, without hidden files and leavings.

    Args:
        root: a folder of this machine, or its URL.
        refused: is called with the error of a folder that cannot be listed;
            without it, that is a UserError.

    Raises:
        UserError: there is no such folder, or one cannot be listed.
    """
    if "://" in root:
        tree = Tree(root)
        _read_remote(tree, "")
    else:
        tree = _LocalReader(root, refused or _refuse).read()
    tree.folders.sort(key=_by_parts)
    tree.files.sort(key=_by_parts)
    return tree


def _by_parts(path: str) -> list[str]:
    return path.split("/")


def _refuse(error: OSError) -> None:
    path = printable(os.fspath(error.filename))
    raise UserError(f"{path} cannot be listed: {error.strerror}") from error


def _read_remote(tree: Tree, folder: str) -> None:
    for name in listing.list_folder(listing.inside(tree.root, folder)):
        path = f"{folder}/{name}" if folder else name
        if tf.io.gfile.isdir(listing.inside(tree.root, path)):
            tree.folders.append(path)
            _read_remote(tree, path)
        else:
            tree.files.append(path)


class _LocalReader:
    """Reads what is in the folder itself first, then what links lead to."""

    def __init__(self, root: str, refused: Refused):
        self._tree = Tree(root)
        self._refused = refused
        # The path at which each file and folder, (device, inode), is listed.
        self._paths: dict[tuple[int, int], str] = {}
        # Links to come: those of outer folders before those of inner ones.
        self._links: collections.deque[str] = collections.deque()

    def read(self) -> Tree:
        with contextlib.suppress(OSError):  # said when it is listed
            status = os.stat(self._tree.root)
            self._paths[status.st_dev, status.st_ino] = "the whole folder"
        self._read_folder("")
        while self._links:
            self._follow(self._links.popleft())
        return self._tree

    def _read_folder(self, top: str) -> None:
        """Lists a folder and those in it; links are only remembered."""
        folders = collections.deque([top])
        while folders:
            folder = folders.popleft()
            place = self._place(folder)
            try:
                status = os.stat(place)
                entries = sorted(os.scandir(place), key=lambda e: e.name)
            except OSError as error:
                error.filename = place
                self._refused(error)
                continue
            for entry in entries:
                if is_leaving(entry.name):
                    continue
                path = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_symlink():
                    self._links.append(path)
                elif entry.is_dir(follow_symlinks=False):
                    if self._is_new(path, _identity(entry)):
                        self._tree.folders.append(path)
                        folders.append(path)
                elif not entry.is_file(follow_symlinks=False):
                    self._tree.special.append(path)
                elif self._is_new(path, (status.st_dev, entry.inode())):
                    self._tree.files.append(path)

    def _follow(self, path: str) -> None:
        place = self._place(path)
        try:
            status = os.stat(place)
        except OSError:  # it leads nowhere
            self._tree.files.append(path)
            return
        identity = status.st_dev, status.st_ino
        if os.path.isdir(place):
            if _is_above(os.path.realpath(place), place):
                self._tree.again[path] = ABOVE
            elif self._is_new(path, identity):
                self._tree.folders.append(path)
                self._read_folder(path)
        elif not os.path.isfile(place):
            self._tree.special.append(path)
        elif self._is_new(path, identity):
            self._tree.files.append(path)

    def _is_new(self, path: str, identity: tuple[int, int]) -> bool:
        same = self._paths.setdefault(identity, path)
        if same != path:
            self._tree.again[path] = same
        return same == path

    def _place(self, path: str) -> str:
        return os.path.join(self._tree.root, path) if path else self._tree.root


def _identity(entry: os.DirEntry) -> tuple[int, int]:
    status = entry.stat(follow_symlinks=False)
    return status.st_dev, status.st_ino


def _is_above(real: str, link: str) -> bool:
    """Whether a real folder holds the link that leads to it."""
    parent = os.path.realpath(os.path.dirname(link))
    return os.path.commonpath([real, parent]) == real
