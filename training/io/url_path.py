"""Paths that are URLs, for TensorFlow to read and write (s3://, http://)."""

import contextlib
import errno
import fnmatch
import io
import os
import pathlib
from collections.abc import Iterator

import tensorflow as tf

from .user_error import UserError

READ_ONLY = ("http", "https")


class UrlPath:
    """What `pathlib.Path` is for local files, as far as our commands need it.

    An object store has no folders: one exists as long as a file is below it,
    and making one does nothing. A write replaces a file at once. There are
    neither locks nor a renaming of folders. Web servers are read-only,
    list nothing, and must answer requests for ranges of bytes.

    Not a `os.PathLike`: `open` would take it for a local name.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: the server does not answer, or does not let us.
    """

    def __init__(self, url: str):
        scheme, _, rest = url.partition("://")
        self._scheme = scheme.lower()
        self._parts = tuple(part for part in rest.split("/") if part)

    def __str__(self) -> str:
        return f"{self._scheme}://{'/'.join(self._parts)}"

    def __repr__(self) -> str:
        return f"UrlPath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UrlPath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __truediv__(self, name: str) -> "UrlPath":
        return UrlPath(f"{self}/{name}")

    @property
    def scheme(self) -> str:
        return self._scheme

    @property
    def parts(self) -> tuple[str, ...]:
        """The bucket or host, then what is below it."""
        return self._parts

    @property
    def name(self) -> str:
        return self._parts[-1] if self._parts else ""

    @property
    def suffix(self) -> str:
        """As of a local file; what a signed address has after ? is not it."""
        return pathlib.PurePosixPath(self.name.partition("?")[0]).suffix

    @property
    def parent(self) -> "UrlPath":
        return UrlPath(f"{self._scheme}://{'/'.join(self._parts[:-1])}")

    def with_name(self, name: str) -> "UrlPath":
        return self.parent / name

    def resolve(self) -> "UrlPath":
        return self

    def exists(self) -> bool:
        with self._errors():
            return tf.io.gfile.exists(str(self))

    def is_dir(self) -> bool:
        with self._errors():
            return tf.io.gfile.isdir(str(self))

    def is_file(self) -> bool:
        return self.exists() and not self.is_dir()

    def iterdir(self) -> Iterator["UrlPath"]:
        if self._scheme in READ_ONLY:
            raise UserError(
                f"{self} cannot be listed: a web server has no folders. Give "
                "the address of what is in it."
            )
        with self._errors():
            names = tf.io.gfile.listdir(str(self))
        yield from (self / name for name in names)

    def glob(self, pattern: str) -> Iterator["UrlPath"]:
        """Those directly below whose name fits; none if there is no folder."""
        try:
            found = list(self.iterdir())
        except FileNotFoundError:
            return
        yield from (p for p in found if fnmatch.fnmatchcase(p.name, pattern))

    def mkdir(self, parents: bool = True, exist_ok: bool = False) -> None:
        """Makes the folder where the store has such; always with parents."""
        self.check_writable()
        if not exist_ok and self.exists():
            raise FileExistsError(errno.EEXIST, "File exists", str(self))
        if "/" not in str(self).partition("://")[2].rstrip("/"):
            return  # a bucket, which is not for us to make
        with self._errors():
            tf.io.gfile.makedirs(str(self))

    def open(self, mode: str = "rb") -> io.BytesIO:
        """The whole content as a file to read; modes: "rb"."""
        if mode != "rb":
            raise ValueError(f"Expected mode 'rb'. Received: mode={mode!r}")
        return io.BytesIO(self.read_bytes())

    def read_bytes(self) -> bytes:
        with self._errors(), tf.io.gfile.GFile(str(self), "rb") as file:
            return file.read()

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def write_bytes(self, content: bytes) -> None:
        self.check_writable()
        with self._errors(), tf.io.gfile.GFile(str(self), "wb") as file:
            file.write(content)

    def write_text(self, text: str, encoding: str = "utf-8") -> None:
        self.write_bytes(text.encode(encoding))

    def copy_from(self, source: pathlib.Path) -> None:
        """Uploads a local file, however large."""
        self.check_writable()
        with self._errors():
            tf.io.gfile.copy(str(source), str(self), overwrite=True)

    def copy_to(self, target: pathlib.Path) -> None:
        """Downloads into a local file."""
        with self._errors():
            tf.io.gfile.copy(str(self), str(target), overwrite=True)

    def unlink(self, missing_ok: bool = False) -> None:
        self.check_writable()
        if missing_ok and not self.exists():
            return
        with self._errors():
            tf.io.gfile.remove(str(self))

    def rmtree(self) -> None:
        """Removes a folder and all that is below it."""
        self.check_writable()
        with self._errors():
            tf.io.gfile.rmtree(str(self))

    def check_writable(self) -> None:
        """Raises a UserError if nothing can be written to such URLs."""
        if self._scheme in READ_ONLY:
            raise UserError(
                f"{self._scheme}:// is read-only: nothing can be written to "
                f"{self}. Give a local path or an s3:// one."
            )

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Gives TensorFlow's errors the types that local files have."""
        try:
            yield
        except tf.errors.NotFoundError as error:
            # Also a bucket that is not there, which the message then says.
            message = error.message.replace(f" {self}", "")
            message = message.partition(" with body ")[0]
            raise FileNotFoundError(
                errno.ENOENT, message or os.strerror(errno.ENOENT), str(self)
            ) from error
        except tf.errors.OpError as error:
            advice = ""
            if isinstance(error, tf.errors.PermissionDeniedError):
                advice = (
                    " Look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
                    "what they may do there."
                )
            raise UserError(f"{self}: {error.message}{advice}") from error
