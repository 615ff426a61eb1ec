"""Walk a folder, visiting each file and folder once.

Links are followed, except those to a parent folder or to a file or folder
already in the tree, which would repeat videos: in other classes, in other
splits, or in an infinite loop. Such links, and further hard links to a file,
are skipped and listed in `Tree.duplicates`. A file precedes links to it.
"""

import collections
import contextlib
import dataclasses
import os
from collections.abc import Callable

from ..io.file_names import is_system_file, printable
from ..io.paths import UrlPath
from ..io.user_error import UserError

PARENT = "a parent folder"
NAMED = 3
OnError = Callable[[OSError], None]


@dataclasses.dataclass
class Tree:
    """Paths below a folder, relative to it, with "/" between names.

    Attributes:
        root: the folder.
        folders: folders below it, sorted.
        files: files below it, sorted, including broken links.
        duplicates: skipped links and hard links, with the path of the same file
            or folder in the tree, or `PARENT`.
        special: skipped pipes, sockets and devices.
    """

    root: str
    folders: list[str] = dataclasses.field(default_factory=list)
    files: list[str] = dataclasses.field(default_factory=list)
    duplicates: dict[str, str] = dataclasses.field(default_factory=dict)
    special: list[str] = dataclasses.field(default_factory=list)

    def notes(self) -> list[str]:
        """Describe skipped files, as lines for the screen."""
        lines = []
        if self.duplicates:
            pairs = [
                f"{path} is {same}" for path, same in self.duplicates.items()
            ]
            lines.append(
                "skipped links and hard links to files already counted: "
                f"{len(pairs)} ({abbreviated(pairs)})"
            )
        if self.special:
            lines.append(
                "skipped pipes, sockets or devices: "
                f"{abbreviated(self.special)}"
            )
        return lines


def abbreviated(texts: list[str]) -> str:
    """Join the first texts, with the number of the rest."""
    remaining = len(texts) - NAMED
    text = "; ".join(map(printable, texts[:NAMED]))
    return f"{text}; and {remaining} more" if remaining > 0 else text


def read(root: str, on_error: OnError | None = None) -> Tree:
    """List all files below a folder, except hidden and system files.

    Args:
        root: path or URL of a folder.
        on_error: called with the error of a folder that cannot be listed;
            by default a UserError is raised.

    Raises:
        UserError: the folder does not exist, or one below cannot be listed.
    """
    if "://" in root:
        tree = Tree(root)
        _read_url(tree)
    else:
        tree = _LocalReader(root, on_error or _raise_user_error).read()
    tree.folders.sort(key=_by_parts)
    tree.files.sort(key=_by_parts)
    return tree


def _by_parts(path: str) -> list[str]:
    return path.split("/")


def _raise_user_error(error: OSError) -> None:
    path = printable(os.fspath(error.filename))
    raise UserError(f"{path} cannot be listed: {error.strerror}") from error


def _read_url(tree: Tree) -> None:
    """List the files below a URL; folders are what contains them."""
    root = UrlPath(tree.root)
    if not root.exists():
        raise UserError(f"There is no folder {tree.root}.")
    folders = set()
    for file in root.files():
        parts = file.parts[len(root.parts) :]
        if not any(map(is_system_file, parts)):
            tree.files.append("/".join(parts))
            folders |= {"/".join(parts[:n]) for n in range(1, len(parts))}
    tree.folders += folders


class _LocalReader:
    """Walks the real files first, then follows links."""

    def __init__(self, root: str, on_error: OnError):
        self._tree = Tree(root)
        self._on_error = on_error
        # Paths by (device, inode).
        self._paths: dict[tuple[int, int], str] = {}
        # Pending links, those of outer folders first.
        self._links: collections.deque[str] = collections.deque()

    def read(self) -> Tree:
        with contextlib.suppress(OSError):  # reported when it is listed
            status = os.stat(self._tree.root)
            self._paths[status.st_dev, status.st_ino] = "the whole folder"
        self._read_folder("")
        while self._links:
            self._follow(self._links.popleft())
        return self._tree

    def _read_folder(self, top: str) -> None:
        """Walk a folder; its links are queued."""
        folders = collections.deque([top])
        while folders:
            folder = folders.popleft()
            absolute = self._absolute(folder)
            try:
                status = os.stat(absolute)
                entries = sorted(os.scandir(absolute), key=lambda e: e.name)
            except OSError as error:
                error.filename = absolute
                self._on_error(error)
                continue
            for entry in entries:
                if is_system_file(entry.name):
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
        absolute = self._absolute(path)
        try:
            status = os.stat(absolute)
        except OSError:  # a broken link
            self._tree.files.append(path)
            return
        identity = status.st_dev, status.st_ino
        if os.path.isdir(absolute):
            if _is_parent(os.path.realpath(absolute), absolute):
                self._tree.duplicates[path] = PARENT
            elif self._is_new(path, identity):
                self._tree.folders.append(path)
                self._read_folder(path)
        elif not os.path.isfile(absolute):
            self._tree.special.append(path)
        elif self._is_new(path, identity):
            self._tree.files.append(path)

    def _is_new(self, path: str, identity: tuple[int, int]) -> bool:
        same = self._paths.setdefault(identity, path)
        if same != path:
            self._tree.duplicates[path] = same
        return same == path

    def _absolute(self, path: str) -> str:
        return os.path.join(self._tree.root, path) if path else self._tree.root


def _identity(entry: os.DirEntry) -> tuple[int, int]:
    status = entry.stat(follow_symlinks=False)
    return status.st_dev, status.st_ino


def _is_parent(real: str, link: str) -> bool:
    """Return whether a link points to one of its parent folders."""
    parent = os.path.realpath(os.path.dirname(link))
    return os.path.commonpath([real, parent]) == real
