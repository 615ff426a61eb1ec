"""Cache of video indices in a SQLite file, shared by all runs of a user.

Indexing a file takes as long as reading several clips of it. A file that
changes is indexed again.
"""

import dataclasses
import json
import os
import pathlib
import sqlite3
import threading
import zlib
from collections.abc import Sequence

import numpy as np

from ..io import json_text
from ..io.paths import UrlPath
from ..io.user_error import UserError
from . import video_index
from .clip_reader import VideoError
from .video_index import VideoIndex
from .video_limits import Limits

VERSION = 3  # of the stored format; entries of other versions are ignored
KEEP_IN_MEMORY = 4096
NOTICE_SECONDS = 1  # wait for a lock before printing a note
WAIT_SECONDS = 10  # wait for a lock after that, once per process
# Errors of the disk, not of the file content.
UNUSABLE = (
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
)
CREATE = (
    "CREATE TABLE IF NOT EXISTS videos (path TEXT, size INTEGER, "
    "changed INTEGER, version INTEGER, content BLOB, PRIMARY KEY (path))"
)


def default_path() -> pathlib.Path:
    """Return the path of this user's cache."""
    root = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(root) / "nonlocal_tf" / "videos.sqlite"


def is_trusted(path: str) -> bool:
    """Return whether a cache is in one of the user's folders.

    The folders themselves are not files, so they are no caches.
    """
    try:
        file = pathlib.Path(os.path.realpath(os.path.expanduser(path)))
        folder = os.path.realpath(default_path().parents[1])
        home = os.path.realpath(pathlib.Path.home())
    except (RuntimeError, ValueError):  # no home folder, or an invalid name
        return False
    if str(file) in (folder, home):
        return False
    if file.is_relative_to(folder):
        return True
    return file.is_relative_to(home) and not any(
        name.startswith(".") for name in file.relative_to(home).parts
    )


class IndexCache:
    """Cache of video indices by path, size and modification time.

    If the cache file cannot be written, or another process keeps it locked,
    indices are cached in memory instead, for this process only.

    Args:
        path: the SQLite file, created if needed; by default that of the user.
        limits: resource limits of indexing; they apply to cached indices too.

    Raises:
        UserError: `path` is not a cache file, or cannot be created.
    """

    def __init__(
        self,
        path: str | os.PathLike | None = None,
        limits: Limits | None = None,
    ):
        self.limits = limits or Limits()
        self._lock = threading.Lock()
        self._warned = False
        self._recent: dict[tuple, VideoIndex] = {}
        try:
            self.path = pathlib.Path(os.path.expanduser(path or default_path()))
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = _connect(self.path)
            self._check_tables()
            # A crash may lose the last entries, which are then indexed again.
            self._execute("PRAGMA synchronous=OFF")
            self._execute(CREATE)
        except (OSError, RuntimeError, sqlite3.Error) as error:
            # RuntimeError: there is no home folder.
            if path is not None and _is_wrong_path(error):
                raise UserError(
                    f"The video cache {path} cannot be used: {error}. "
                    "Delete it, or give another file: --set data.cache=FILE"
                ) from error
            self._cache_in_memory(error)

    def index(self, path: str) -> VideoIndex:
        """Return the index of a file, decoding it if it is not cached.

        Raises:
            VideoError: the file is missing, cannot be read or exceeds a limit.
        """
        key = (_absolute(path), *_file_state(path))
        with self._lock:
            index = self._recent.get(key)
        index = index or self._load(key)
        if index is None:
            index = video_index.index_video(path, self.limits)
            self._store(key, index)
        self.limits.check_size(index.width, index.height)
        self.limits.check_count(index.frames)
        self._remember(key, index)
        return index

    def disable_seeking(self, path: str) -> None:
        """Read a file by counting frames from now on."""
        key = (_absolute(path), *_file_state(path))
        counted = dataclasses.replace(self.index(path), order="count")
        self._store(key, counted)
        self._remember(key, counted)

    def close(self) -> None:
        """Close the cache file."""
        with self._lock:
            self._database.close()

    def _remember(self, key, index):
        with self._lock:
            if len(self._recent) >= KEEP_IN_MEMORY:
                self._recent.pop(next(iter(self._recent)), None)
            self._recent[key] = index

    def _load(self, key) -> VideoIndex | None:
        try:
            row = self._execute(
                "SELECT content FROM videos WHERE path=? AND size=? "
                "AND changed=? AND version=?",
                (*key, VERSION),
            )
            return None if row is None else _unpack(row[0])
        except (sqlite3.Error, zlib.error, ValueError, TypeError) as error:
            self._warn(error)
            return None

    def _store(self, key, index):
        try:
            self._execute(
                "INSERT OR REPLACE INTO videos VALUES (?, ?, ?, ?, ?)",
                (*key, VERSION, _pack(index)),
            )
        except sqlite3.Error as error:
            self._warn(error)

    def _execute(self, command: str, values: Sequence = ()) -> tuple | None:
        """Run a command as one transaction and return its first row.

        Raises:
            sqlite3.Error: the command fails for another reason than a lock. If
                a lock is held for long, the cache in memory takes over.
        """
        with self._lock:
            try:
                return self._database.execute(command, values).fetchone()
            except sqlite3.OperationalError as error:
                if not _is_locked(error):
                    raise
            print(
                f"note: waiting up to {WAIT_SECONDS} s for the video cache "
                f"{self.path}, which another process has locked. Stop that "
                "process, or give another file: --set data.cache=FILE",
                flush=True,
            )
            try:
                self._database.execute(
                    f"PRAGMA busy_timeout={1000 * WAIT_SECONDS}"
                )
                return self._database.execute(command, values).fetchone()
            except sqlite3.OperationalError as error:
                if not _is_locked(error):
                    raise
                self._cache_in_memory(error)
            return self._database.execute(command, values).fetchone()

    def _check_tables(self) -> None:
        """Check that the file is new or a video cache.

        Raises:
            sqlite3.DatabaseError: it is another database.
        """
        tables = "FROM sqlite_master WHERE type='table'"
        count = self._execute(f"SELECT COUNT(*), MAX(name='videos') {tables}")
        if count is not None and count[0] and not count[1]:
            raise sqlite3.DatabaseError("it is another database")

    def _cache_in_memory(self, error: Exception) -> None:
        """Switch to a cache in memory, with a note."""
        path = getattr(self, "path", "of this user")
        print(
            f"note: running without the video cache {path} ({error}): "
            "each run decodes all videos once. Give another file with "
            "--set data.cache=FILE",
            flush=True,
        )
        self._database = _connect(":memory:")
        self._database.execute(CREATE)

    def _warn(self, error: Exception) -> None:
        """Print once that the cache file is unusable."""
        if not self._warned:
            self._warned = True
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            problem = "cannot be used" if code in UNUSABLE else "is damaged"
            print(f"note: the video cache {self.path} {problem}: {error}")


def _connect(path: str | pathlib.Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path,
        timeout=NOTICE_SECONDS,
        isolation_level=None,  # each command is a transaction
        check_same_thread=False,
    )


def _is_wrong_path(error: Exception) -> bool:
    """Return whether a path names another file or cannot be a file."""
    if isinstance(error, sqlite3.Error):
        return not isinstance(error, sqlite3.OperationalError)
    return isinstance(error, NotADirectoryError | FileExistsError)


def _is_locked(error: sqlite3.OperationalError) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _absolute(path: str) -> str:
    return path if "://" in path else os.path.abspath(path)


def _file_state(path: str) -> tuple[int, int]:
    """Return size and modification time in nanoseconds, to detect changes."""
    try:
        if "://" in path:
            if path.startswith(("http://", "https://")):
                return 0, 0  # servers may not report them
            return 0, int(UrlPath(path).fingerprint()[:15], 16)
        status = os.stat(path)
        return status.st_size, status.st_mtime_ns
    except FileNotFoundError as error:
        raise VideoError("there is no such file") from error
    except OSError as error:
        raise VideoError(f"it cannot be read: {error}") from error


def _pack(index: VideoIndex) -> bytes:
    """Serialize an index; differences of timestamps compress well."""
    plain = dataclasses.asdict(index)
    arrays = [plain.pop("timestamps"), plain.pop("keyframes")]
    edges_s = plain.pop("edges_s")
    content = [np.diff(array, prepend=0).tobytes() for array in arrays]
    content.append(b"" if edges_s is None else edges_s.tobytes())
    head = json.dumps({**plain, "bytes": [len(part) for part in content]})
    return zlib.compress(head.encode() + b"\0" + b"".join(content))


def _unpack(content: bytes) -> VideoIndex:
    head, _, rest = zlib.decompress(content).partition(b"\0")
    plain = json_text.parse(head)
    parts = []
    for length in plain.pop("bytes"):
        parts.append(rest[:length])
        rest = rest[length:]
    timestamps, keyframes, edges_s = parts
    return VideoIndex(
        **plain,
        timestamps=np.cumsum(np.frombuffer(timestamps, np.int64)),
        keyframes=np.cumsum(np.frombuffer(keyframes, np.int64)),
        edges_s=np.frombuffer(edges_s, np.float64) if edges_s else None,
    )
