"""Download of a file into a cache, whole and verified or not at all."""

import contextlib
import hashlib
import http.client
import os
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import keras

from nonlocal_tf.checkpoints.errors import CheckpointError

TIMEOUT_S = 30
BLOCK_BYTES = 1 << 20
MAX_BYTES = 4 << 30
# An interrupted download of an earlier process is removed after this time.
ABANDONED_S = 3600


class DownloadError(CheckpointError):
    """A file cannot be downloaded, or is not the published one."""


def fetch(address: str, path: str, sha256: str = "") -> None:
    """Download a file unless it is there; verify it in any case.

    It is written beside `path` and renamed when it is complete: two processes
    may download the same file at once, and an interrupted download begins
    anew.

    Args:
        address: http or https URL. It may redirect on its own host alone.
        path: of the file; its folder is made if needed.
        sha256: first hexadecimal digits of the digest; "" to verify none.

    Raises:
        DownloadError: one line that says what failed, and where a file that
            was downloaded otherwise belongs. Nothing is left at `path`, but a
            file of another digest that was there before.
    """
    if not os.path.exists(path):
        try:
            _download(address, path, sha256)
        except DownloadError as error:
            raise DownloadError(
                f"{address} was not downloaded: {error} Try again, or put the "
                f"file there yourself: {path}"
            ) from error
    elif sha256 and not digest(path).startswith(sha256):
        raise DownloadError(
            f"{path} is not the published file: its SHA-256 does not begin "
            f"with {sha256}. Remove it to download {address}"
        )


def digest(path: str) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(address: str, path: str, sha256: str) -> None:
    folder, name = os.path.split(path)
    with _as_download_error():
        os.makedirs(folder, exist_ok=True)
        _remove_abandoned(folder, name)
        with _open(address) as response, _partial(folder, name) as partial:
            size = _write(response, partial, name, folder)
            partial.flush()
            _check(partial.name, size, sha256)
            os.replace(partial.name, path)


@contextlib.contextmanager
def _as_download_error() -> Iterator[None]:
    """Turn errors of the network and the disk into one sentence."""
    try:
        yield
    except DownloadError:
        raise
    except urllib.error.HTTPError as error:
        error.close()
        reason = f"the server answered {error.code} {error.reason}."
        raise DownloadError(reason) from error
    except http.client.IncompleteRead as error:
        raise DownloadError("the connection was cut.") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = getattr(error, "reason", None) or error
        text = getattr(cause, "strerror", None) or cause
        raise DownloadError(f"{text or type(cause).__name__}.") from error


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows redirects on the same host, and never from https to http."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        old, new = map(urllib.parse.urlsplit, (req.full_url, newurl))
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            fp.close()
            raise DownloadError(
                f"the server redirects elsewhere, to {newurl[:200]!r}."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(address: str) -> Any:
    opener = urllib.request.build_opener(_SameHost)
    request = urllib.request.Request(
        address, headers={"User-Agent": "nonlocal_tf", "Accept": "*/*"}
    )
    return opener.open(request, timeout=TIMEOUT_S)


@contextlib.contextmanager
def _partial(folder: str, name: str) -> Iterator[Any]:
    """Open a new file beside the one to be made; remove it if it is left."""
    with tempfile.NamedTemporaryFile(
        dir=folder, prefix=f"{name}.", suffix=".partial", delete=False
    ) as file:
        try:
            yield file
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.remove(file.name)


def _remove_abandoned(folder: str, name: str) -> None:
    """Remove what killed processes left of this file."""
    for entry in os.scandir(folder):
        is_partial = entry.name.startswith(f"{name}.")
        if is_partial and entry.name.endswith(".partial"):
            with contextlib.suppress(FileNotFoundError):
                if entry.stat().st_mtime < time.time() - ABANDONED_S:
                    os.remove(entry.path)


def _write(response: Any, file: Any, name: str, folder: str) -> int | None:
    """Write a response; return the size that its server told, if any."""
    if response.headers.get_content_type() == "text/html":
        raise DownloadError("the server sent a web page.")
    size = response.headers.get("Content-Length")
    size = None if size is None else int(size)
    if size is not None and size > shutil.disk_usage(folder).free:
        raise DownloadError(
            f"no space for its {size / 1e6:.0f} MB is left in {folder}."
        )
    is_shown = sys.stdout.isatty()
    of_size = "" if size is None else f", {size / 1e6:.0f} MB"
    print(f"Downloading {name}{of_size}, to {folder}", file=sys.stderr)
    bar = keras.utils.Progbar(size, unit_name="byte") if is_shown else None
    written = 0
    while block := response.read(BLOCK_BYTES):
        file.write(block)
        written += len(block)
        if written > MAX_BYTES:
            raise DownloadError("it has more than 4 GB.")
        if bar is not None:
            bar.update(written)
    return size


def _check(path: str, size: int | None, sha256: str) -> None:
    """Raise a DownloadError unless a file is complete and the published one."""
    written = os.path.getsize(path)
    if size is not None and written != size:
        raise DownloadError(
            f"the connection was cut after {written} of {size} bytes."
        )
    if not written:
        raise DownloadError("it is empty.")
    with open(path, "rb") as file:
        start = file.read(64).lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise DownloadError("the server sent a web page.")
    if sha256 and not (received := digest(path)).startswith(sha256):
        raise DownloadError(
            f"its SHA-256 does not begin with {sha256}, as published. "
            f"Received: {received}."
        )
