"""What was found out about video files, kept from one run to the next.

Decoding a file once costs as much as several clips of it. The cache is one
SQLite file, shared by all runs of a user; a file that changes is read anew.
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
import tensorflow as tf

from ..io import json_text
from ..io.user_error import UserError
from . import decode
from .decode import VideoIndex
from .sources import VideoError
from .video_limits import Limits

VERSION = 3  # of what is stored; another one is not read
KEEP_IN_MEMORY = 4096
NOTICE_SECONDS = 1  # that a lock is held before it is said
WAIT_SECONDS = 10  # for a lock after that, once in a process
# Errors of the disk, not of what is in the file.
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
    """The cache of this user."""
    root = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(root) / "nonlocal_tf" / "videos.sqlite"


class IndexCache:
    """Indices of video files by path, size and time of change.

    A file that cannot be made or written, and one that another process keeps
    locked, are done without: what is found out is then kept for this process
    alone, in memory.

    Args:
        path: of the SQLite file, made if needed; by default that of the user.
        limits: of what reading a file may take; they hold for what is kept
            too.

    Raises:
        UserError: the file that `path` names is something else, or is in a
            place where no file can be.
    """

    def __init__(
        self,
        path: str | os.PathLike | None = None,
        limits: Limits | None = None,
    ):
        self.limits = limits or Limits()
        self._lock = threading.Lock()
        self._complained = False
        self._recent: dict[tuple, VideoIndex] = {}
        try:
            self.path = pathlib.Path(os.path.expanduser(path or default_path()))
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = _connect(self.path)
            self._check_tables()
            # Losing the last entries in a crash costs reading them again.
            self._execute("PRAGMA synchronous=OFF")
            self._execute(CREATE)
        except (OSError, RuntimeError, sqlite3.Error) as error:
            # RuntimeError: there is no home.
            if path is not None and _is_mistaken(error):
                raise UserError(
                    f"The cache of videos {path} cannot be used: {error}. "
                    "Delete it, or give another file: --set data.cache=FILE"
                ) from error
            self._do_without(error)

    def index(self, path: str) -> VideoIndex:
        """The index of a file, made by decoding it if it is new.

        Raises:
            VideoError: it is missing, cannot be read or is beyond a limit.
        """
        key = (_absolute(path), *_state(path))
        with self._lock:
            found = self._recent.get(key)
        found = found or self._load(key)
        if found is None:
            found = decode.index_video(path, self.limits)
            self._store(key, found)
        self.limits.check_size(found.width, found.height)
        self.limits.check_count(found.frames)
        self._remember(key, found)
        return found

    def count_from_now_on(self, path: str) -> None:
        """Keeps that seeking in a file leads nowhere; frames stay the same."""
        key = (_absolute(path), *_state(path))
        counted = dataclasses.replace(self.index(path), order="count")
        self._store(key, counted)
        self._remember(key, counted)

    def close(self) -> None:
        """Lets go of the file."""
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
            self._complain(error)
            return None

    def _store(self, key, index):
        try:
            self._execute(
                "INSERT OR REPLACE INTO videos VALUES (?, ?, ?, ?, ?)",
                (*key, VERSION, _pack(index)),
            )
        except sqlite3.Error as error:
            self._complain(error)

    def _execute(self, command: str, values: Sequence = ()) -> tuple | None:
        """Runs a command as a transaction of its own; returns its first row.

        Raises:
            sqlite3.Error: it fails. A lock is no failure: the cache in memory
                takes over where it is held for long.
        """
        with self._lock:
            try:
                return self._database.execute(command, values).fetchone()
            except sqlite3.OperationalError as error:
                if not _is_locked(error):
                    raise
            print(
                f"note: waiting up to {WAIT_SECONDS} s for the cache of videos "
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
                self._do_without(error)
            return self._database.execute(command, values).fetchone()

    def _check_tables(self) -> None:
        """Raise unless the file is new, or was made here.

        Raises:
            sqlite3.DatabaseError: it is a database of something else.
        """
        tables = "FROM sqlite_master WHERE type='table'"
        count = self._execute(f"SELECT COUNT(*), MAX(name='videos') {tables}")
        if count is not None and count[0] and not count[1]:
            raise sqlite3.DatabaseError("it is a database of something else")

    def _do_without(self, error: Exception) -> None:
        """Goes on with a cache in memory, and says so once."""
        path = getattr(self, "path", "of this user")
        print(
            f"note: going on without the cache of videos {path} ({error}): "
            "each run decodes all videos once. Give another file with "
            "--set data.cache=FILE",
            flush=True,
        )
        self._database = _connect(":memory:")
        self._database.execute(CREATE)

    def _complain(self, error: Exception) -> None:
        """Says once that the file is of no use; work goes on without it."""
        if not self._complained:
            self._complained = True
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            what = "cannot be used" if code in UNUSABLE else "is damaged"
            print(f"note: the cache of videos {self.path} {what}: {error}")


def _connect(path: str | pathlib.Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path,
        timeout=NOTICE_SECONDS,
        isolation_level=None,  # each command is a transaction
        check_same_thread=False,
    )


def _is_mistaken(error: Exception) -> bool:
    """Whether a path is that of another file, or of no place for files."""
    if isinstance(error, sqlite3.Error):
        return not isinstance(error, sqlite3.OperationalError)
    return isinstance(error, NotADirectoryError | FileExistsError)


def _is_locked(error: sqlite3.OperationalError) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without its details
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _absolute(path: str) -> str:
    return path if "://" in path else os.path.abspath(path)


def _state(path: str) -> tuple[int, int]:
    """Size and time of change, in nanoseconds; they tell versions apart."""
    try:
        if "://" in path:
            if path.startswith(("http://", "https://")):
                return 0, 0  # a server need not say
            found = tf.io.gfile.stat(path)
            return found.length, found.mtime_nsec
        status = os.stat(path)
        return status.st_size, status.st_mtime_ns
    except FileNotFoundError as error:
        raise VideoError("there is no such file") from error
    except (OSError, tf.errors.OpError) as error:
        raise VideoError(f"it cannot be read: {error}") from error


def _pack(index: VideoIndex) -> bytes:
    """Differences of timestamps are mostly equal and compress well."""
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
