"""Output files of commands, which never replace files of the user.

A command replaces a file only if a command wrote it and nobody has changed it
since. `.nonlocal_tf_outputs` beside the outputs lists the SHA-256 digest and
name of each; a file that is not listed with its digest, or is an input of the
same command, is kept. A file named by the user is then refused in one line;
where a command chooses names itself, it chooses another. Without the list
(deleted, or an older version of the code) existing files count as the user's.

Run folders, folders of scores and of shards, and directories of SavedModel
versions are recognized by their own files, whose names are fixed.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Iterable

from . import atomic_files, json_text, paths
from .paths import Path, UrlPath
from .user_error import UserError

LIST = ".nonlocal_tf_outputs"


class Outputs:
    """The files that commands write into one folder.

    Args:
        folder: that they are written into; made when the first one is.
        inputs: paths that the command reads, which it never writes over.

    Raises:
        UserError: the list of files in the folder is a link.
    """

    def __init__(
        self, folder: Path, inputs: Iterable[str | os.PathLike | UrlPath] = ()
    ):
        if isinstance(folder, pathlib.Path) and os.path.lexists(folder / LIST):
            atomic_files.check_regular(folder / LIST)
        self.folder = folder
        self._inputs = {_identity(path) for path in inputs}
        self._digests = _read_list(folder / LIST)
        self._names: dict[str, str] | None = None

    def is_own(self, name: str) -> bool:
        """Return whether a command wrote this file, unchanged since."""
        path = self.folder / name
        if name not in self._digests or not _exists(path) or _is_link(path):
            return False
        if not path.is_file():
            return False
        return self._digests[name] == atomic_files.sha256(path)

    def is_replaceable(self, name: str) -> bool:
        """Return whether `write_bytes` would replace no file of the user."""
        try:
            self.check(name)
        except UserError:
            return False
        return True

    def check(self, name: str) -> None:
        """Raise unless a file can be written without replacing the user's.

        Raises:
            UserError: it is an input, a folder, or not of a command.
        """
        path = self.folder / name
        if isinstance(self.folder, pathlib.Path) and self.folder.is_file():
            raise UserError(
                f"Expected a folder to write into. Received: {self.folder}, "
                "which is a file."
            )
        if not _exists(path) and _identity(path) not in self._inputs:
            return
        if _identity(path) in self._inputs:
            raise UserError(
                f"{path} is an input of this command, which is not written "
                "over. Give another name."
            )
        if path.is_dir():
            raise UserError(
                f"Expected the name of a file to write. Received: {path}, "
                "which is a folder."
            )
        if not self.is_own(name):
            raise UserError(
                f"{path} exists, and no command wrote it as it is now: it is "
                "not replaced. Give another name, or move it away."
            )

    def free_name(self, name: str) -> str:
        """Return a name for a file that takes the place of none.

        Args:
            name: preferred; "a.png" becomes "a_2.png", "a_3.png", ... where it
                is an input or a file of the user's, or was returned before.
                Upper and lower case count as equal, as they do on some disks.
        """
        if self._names is None:
            self._names = self._names_of_others()
        stem, suffix = os.path.splitext(name)
        number = 1
        while not self._is_free(name):
            number += 1
            name = f"{stem}_{number}{suffix}"
        self._names[name.casefold()] = name
        return name

    def write_bytes(self, name: str, content: bytes) -> Path:
        """Write a file, or replace one of a command.

        Raises:
            UserError: as `check` does.
            OSError: it cannot be written.
        """
        self.check(name)
        path = self.folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        atomic_files.write_bytes(path, content)
        self._record(name, hashlib.sha256(content).hexdigest())
        return path

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file, as `write_bytes` does."""
        return self.write_bytes(name, text.encode("utf-8"))

    def remove(self, name: str) -> None:
        """Remove a file if a command wrote it."""
        if self.is_own(name):
            (self.folder / name).unlink()

    def _names_of_others(self) -> dict[str, str]:
        """Names in the folder that cannot be taken, by their lower case."""
        if not self.folder.is_dir():
            return {}
        names = [path.name for path in self.folder.iterdir()]
        return {n.casefold(): n for n in names if not self.is_own(n)}

    def _is_free(self, name: str) -> bool:
        if self._names is not None and name.casefold() in self._names:
            return False
        return _identity(self.folder / name) not in self._inputs

    def _record(self, name: str, digest: str) -> None:
        if self._digests.get(name) == digest:
            return
        self._digests[name] = digest
        path = self.folder / LIST
        # Stores cannot append, and to a hard link one must not.
        if isinstance(path, UrlPath) or _has_other_names(path):
            rows = [_row(*pair) for pair in self._digests.items()]
            atomic_files.write_text(path, "".join(rows))
            return
        opener = atomic_files.open_without_following
        with open(path, "a", encoding="utf-8", opener=opener) as file:
            file.write(_row(name, digest))


def check(
    path: str | os.PathLike | UrlPath,
    inputs: Iterable[str | os.PathLike | UrlPath] = (),
) -> None:
    """Raise a UserError unless a file can be written; see `Outputs.check`."""
    path = paths.as_path(path)
    Outputs(path.parent, inputs).check(path.name)
    atomic_files.check_writable(path)


def write_bytes(
    path: str | os.PathLike | UrlPath,
    content: bytes,
    inputs: Iterable[str | os.PathLike | UrlPath] = (),
) -> None:
    """Write a file, made with its folder; see `Outputs.write_bytes`."""
    path = paths.as_path(path)
    Outputs(path.parent, inputs).write_bytes(path.name, content)


def write_text(
    path: str | os.PathLike | UrlPath,
    text: str,
    inputs: Iterable[str | os.PathLike | UrlPath] = (),
) -> None:
    """Write a text file, made with its folder; see `Outputs.write_bytes`."""
    write_bytes(path, text.encode("utf-8"), inputs)


def is_same(
    first: str | os.PathLike | UrlPath, second: str | os.PathLike | UrlPath
) -> bool:
    """Return whether two paths are one file, links followed."""
    return _identity(first) == _identity(second)


def is_within(
    path: str | os.PathLike | UrlPath, folder: str | os.PathLike | UrlPath
) -> bool:
    """Return whether a path is a folder or below it, links followed."""
    if isinstance(path, UrlPath) or isinstance(folder, UrlPath):
        return f"{path}/".startswith(f"{str(folder).rstrip('/')}/")
    inner, outer = os.path.realpath(path), os.path.realpath(folder)
    return os.path.commonpath([inner, outer]) == outer


def _identity(path: str | os.PathLike | UrlPath) -> object:
    """Return a key, equal for symbolic and hard links of one file."""
    if isinstance(path, UrlPath) or paths.is_url(path):
        return str(path)
    try:
        stat = os.stat(path)
        return stat.st_dev, stat.st_ino
    except (OSError, ValueError):
        return os.path.realpath(path)


def _exists(path: Path) -> bool:
    """Return whether a path exists, broken links included."""
    if isinstance(path, pathlib.Path):
        return os.path.lexists(path)
    return path.exists()


def _is_link(path: Path) -> bool:
    return isinstance(path, pathlib.Path) and path.is_symlink()


def _has_other_names(path: pathlib.Path) -> bool:
    """Return whether a file exists and has further hard links."""
    return path.exists() and path.stat().st_nlink > 1


def _row(name: str, digest: str) -> str:
    return f"{digest} {json.dumps(name)}\n"


def _read_list(path: Path) -> dict[str, str]:
    """Read digests by name; damaged rows are ignored."""
    if not path.is_file():
        return {}
    digests = {}
    for line in path.read_bytes().decode("utf-8", "replace").splitlines():
        digest, _, name = line.partition(" ")
        try:
            digests[json_text.parse(name)] = digest
        except (ValueError, TypeError):
            continue
    return digests
