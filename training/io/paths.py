"""Paths that may be URLs: s3://, gs://, http:// and others, through fsspec.

The extra `url` installs s3fs, gcsfs and aiohttp. They find credentials and
endpoints where their users expect them: AWS_ACCESS_KEY_ID and
AWS_ENDPOINT_URL, GOOGLE_APPLICATION_CREDENTIALS, or fsspec's configuration
(FSSPEC_S3_ENDPOINT_URL, ~/.config/fsspec).
"""

import contextlib
import errno
import fnmatch
import io
import os
import pathlib
import re
import tempfile
from collections.abc import Iterator
from typing import Any, Literal

from .user_error import UserError, missing_extra

WEB = ("http", "https")
EXTRA = (*WEB, "gcs", "gs", "memory", "s3", "s3a")
# Their folders exist while files are below them; to make one makes a bucket.
OBJECT_STORES = ("abfs", "abfss", "az", "gcs", "gs", "s3", "s3a")
BLOCK_BYTES = 4 << 20  # per request of a file that is read in parts


class UrlError(UserError, OSError):
    """A store or a web server failed or refused a request."""


class UrlPath:
    """A URL with the methods of `pathlib.Path` that the commands need.

    Object stores have no folders, locks or renaming of folders, and replace a
    file at once. Web servers are read-only and list nothing. It is not an
    `os.PathLike`: `open` would take it for a local name.

    Raises:
        FileNotFoundError: the file does not exist.
        UrlError: the server does not answer or refuses the request.
        UserError: nothing can be written to such URLs.
    """

    def __init__(self, url: str):
        scheme, _, rest = url.partition("://")
        self.scheme = scheme.lower()
        # The bucket or host, then the names below it.
        self.parts = tuple(part for part in rest.split("/") if part)

    def __str__(self) -> str:
        return f"{self.scheme}://{'/'.join(self.parts)}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UrlPath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __truediv__(self, name: str) -> "UrlPath":
        path, *query = str(self).split("?", self.scheme in WEB)
        return UrlPath("?".join([f"{path}/{name}", *query]))

    @property
    def name(self) -> str:
        return self.parts[-1] if self.parts else ""

    @property
    def suffix(self) -> str:
        """Suffix as of a local file, without the query of a signed URL."""
        return pathlib.PurePosixPath(self.name.partition("?")[0]).suffix

    @property
    def parent(self) -> "UrlPath":
        return UrlPath(f"{self.scheme}://{'/'.join(self.parts[:-1])}")

    def with_name(self, name: str) -> "UrlPath":
        return self.parent / name

    def resolve(self) -> "UrlPath":
        return self

    def exists(self) -> bool:
        if self.scheme not in WEB:
            return self._type() is not None
        try:
            return self._call("exists", strict=True)
        except UrlError as error:
            # Servers that do not list their files may forbid missing ones.
            status = getattr(error.__cause__, "status", None)
            if status and 400 <= status < 500:
                return False
            raise

    def is_dir(self) -> bool:
        return self.scheme not in WEB and self._type() == "directory"

    def is_file(self) -> bool:
        return self.exists() if self.scheme in WEB else self._type() == "file"

    def stat(self) -> os.stat_result:
        """Return the size of a file; all other fields are 0."""
        size = self._call("info")["size"] or 0  # some web servers do not tell
        return os.stat_result((0, 0, 0, 0, 0, 0, size, 0, 0, 0))

    def fingerprint(self) -> str:
        """Return a hash of size, time and version that the store tells."""
        return self._call("ukey")

    def iterdir(self) -> Iterator["UrlPath"]:
        for name in self._list("ls", detail=False):
            yield self / name.rpartition("/")[2]

    def glob(self, pattern: str) -> Iterator["UrlPath"]:
        """List matching names of a folder; none if it does not exist."""
        with contextlib.suppress(FileNotFoundError):
            for path in self.iterdir():
                if fnmatch.fnmatchcase(path.name, pattern):
                    yield path

    def files(self) -> Iterator["UrlPath"]:
        """List all files below a folder, also in folders of it."""
        for name in self._list("find"):
            yield self / name

    def mkdir(self, parents: bool = True, exist_ok: bool = True) -> None:
        """Make a folder with its parents, where such things exist."""
        self._check_scheme_writable()
        if self.scheme not in OBJECT_STORES:
            self._call("makedirs", exist_ok=True)

    def open(self, mode: Literal["rb"] = "rb") -> Any:
        """Open a file for reading, with seeking."""
        if self.scheme in (*WEB, "memory"):
            # Not every server sends parts; files in memory share a position.
            return io.BytesIO(self.read_bytes())
        return self._call("open", mode, block_size=BLOCK_BYTES)

    def read_bytes(self) -> bytes:
        return self._call("cat_file")

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def write_bytes(self, content: bytes) -> None:
        self._check_scheme_writable()
        self._call("pipe_file", bytes(content))

    def write_text(self, text: str, encoding: str = "utf-8") -> None:
        self.write_bytes(text.encode(encoding))

    def upload(self, source: pathlib.Path) -> None:
        """Copy a local file here, however large."""
        self._check_scheme_writable()
        with self._errors():
            self._filesystem().put_file(str(source), str(self))

    def download(self, target: pathlib.Path) -> None:
        """Copy the file to a local one."""
        self._call("get_file", str(target))

    def unlink(self, missing_ok: bool = False) -> None:
        self._check_scheme_writable()
        if self.exists() or not missing_ok:
            self._call("rm_file")

    def rmtree(self) -> None:
        """Remove a folder and all files below it."""
        self._check_scheme_writable()
        for file in self.files():  # fsspec's rm expands * and [ in names
            file._call("rm_file")
        if self.scheme not in OBJECT_STORES:
            for name in sorted(self._call("find", withdirs=True), reverse=True):
                self._filesystem().rmdir(name)

    def check_writable(self) -> None:
        """Raise a UserError on a web server or in a missing bucket."""
        self._check_scheme_writable()
        bucket = UrlPath(f"{self.scheme}://{self.parts[0]}")
        with contextlib.suppress(UrlError):  # who may write may not list
            if self.scheme in OBJECT_STORES and not bucket.exists():
                raise UserError(f"There is no bucket {bucket}.")

    def _check_scheme_writable(self) -> None:
        if self.scheme in WEB:
            raise UserError(
                f"{self.scheme}:// is read-only: nothing can be written to "
                f"{self}. Give a local path or an s3:// one."
            )

    def _list(self, method: str, **options: Any) -> Iterator[str]:
        """List names below a folder, without markers of the folder itself."""
        if self.scheme in WEB:
            raise UserError(
                f"{self} cannot be listed: a web server has no folders. Give "
                "the URL of a file."
            )
        root = self._filesystem()._strip_protocol(str(self))
        for name in self._call(method, **options):
            if below := name.removeprefix(root).strip("/"):
                yield below

    def _type(self) -> str | None:
        """Return "file", "directory", or None for what does not exist."""
        try:
            return self._call("info")["type"]
        except FileNotFoundError:
            return None

    def _call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the filesystem on this URL."""
        with self._errors():
            function = getattr(self._filesystem(), method)
            return function(str(self), *arguments, **options)

    def _filesystem(self) -> Any:
        """Return fsspec's filesystem, without cached listings.

        Raises:
            UserError: the scheme is unknown, or its package not installed.
        """
        try:
            import fsspec.core

            # Of the host alone: "::" in a name would chain filesystems.
            root = f"{self.scheme}://{self.parts[0]}"
            filesystem, _ = fsspec.core.url_to_fs(root)
        except ImportError as error:
            package = getattr(error.__cause__ or error, "name", None)
            if package and self.scheme in EXTRA:
                raise missing_extra(package, "url") from error
            raise UserError(f"{self} cannot be opened: {error}") from error
        except ValueError as error:
            raise UserError(
                "Expected a local path, s3://, gs://, http:// or another URL "
                f"that fsspec can open. Received: {self} ({error})"
            ) from error
        filesystem.invalidate_cache()
        return filesystem

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Convert the exceptions of all stores to those of the class."""
        try:
            yield
        except UserError:
            raise
        except FileNotFoundError as error:  # also of a missing bucket
            reason = error.strerror or os.strerror(errno.ENOENT)
            raise FileNotFoundError(errno.ENOENT, reason, str(self)) from error
        except Exception as error:
            reason = getattr(error, "strerror", None) or str(error)
            reason = reason or type(error).__name__  # of a timeout
            if isinstance(error, PermissionError) or "redential" in reason:
                reason += (
                    ". Check your credentials (such as AWS_ACCESS_KEY_ID and "
                    "AWS_SECRET_ACCESS_KEY) and what they permit."
                )
            raise UrlError(f"{self}: {reason}") from error


Path = pathlib.Path | UrlPath


def is_url(path: str | os.PathLike | UrlPath) -> bool:
    """Return whether a path is a URL, such as s3://bucket/run."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", str(path)) is not None


def as_path(path: str | os.PathLike | UrlPath) -> Path:
    """Return the path object of a local path, expanding ~, or of a URL.

    Raises:
        UserError: such URLs cannot be opened.
    """
    if isinstance(path, UrlPath):
        return path
    if not is_url(path):
        return pathlib.Path(os.path.expanduser(path))
    url = UrlPath(str(path))
    if url.scheme == "file":
        raise UserError(f"Give a local path without file://. Received: {path}")
    if not url.parts:
        raise UserError(f"Expected a host or bucket in {url.scheme}://...")
    with url._errors():
        url._filesystem()
    return url


@contextlib.contextmanager
def local_copy(path: str | os.PathLike | UrlPath) -> Iterator[pathlib.Path]:
    """Provide a local file: the path, or a download that the block deletes."""
    path = as_path(path)
    if isinstance(path, pathlib.Path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / path.name.partition("?")[0]
        path.download(copy)
        yield copy


def without_credentials(text: str) -> str:
    """Hide user names, passwords and signatures of the URLs in a text."""
    text = re.sub(r"(://)[^\s/@'\"]+@", r"\1***@", text)
    return re.sub(r"(://[^\s?'\"]+\?)[^\s'\")\]]+", r"\1***", text)


def expand_home(config, *paths: str) -> None:
    """Replace ~ in fields of a frozen dataclass, in place.

    Shells do not expand it in `--set data.root=~/videos`.

    Args:
        config: the dataclass.
        *paths: names of its path fields.
    """
    for name in paths:
        path = getattr(config, name)
        if isinstance(path, str):
            object.__setattr__(config, name, os.path.expanduser(path))
