"""Paths that may be URLs, and the part of tensorflow-io that we use.

TensorFlow itself opens local files and gs://. tensorflow-io adds s3://,
http://, https:// and others, where its native code loads: its last release,
0.37.1, loads in TensorFlow 2.16 and 2.17 only. Elsewhere it imports with a
warning and adds nothing, so what counts here is what TensorFlow then knows.

S3 is set up by the environment, before the start: AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_REGION and, for stores other than Amazon's,
S3_ENDPOINT (http://host:port), S3_USE_HTTPS and S3_VERIFY_SSL (0 or 1).
"""

import atexit
import contextlib
import ctypes
import functools
import os
import pathlib
import re
import ssl
import tempfile
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from .url_path import UrlPath
from .user_error import UserError

Path = pathlib.Path | UrlPath
INSTALL = (
    "pip install -c constraints-tfio.txt -e '.[io]' on Python 3.11 or 3.12"
)
REACH_SECONDS = 10


def is_url(path: str | os.PathLike | UrlPath) -> bool:
    """Whether a path is a URL, such as s3://bucket/run."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", str(path)) is not None


def as_path(path: str | os.PathLike | UrlPath) -> Path:
    """The path object of a local path or a URL; ~ is the user's folder.

    Raises:
        UserError: TensorFlow cannot open such URLs here.
    """
    if isinstance(path, UrlPath):
        return path
    if not is_url(path):
        return pathlib.Path(os.path.expanduser(path))
    url = UrlPath(str(path))
    require(url)
    return url


def require(path: str | UrlPath) -> None:
    """Makes TensorFlow able to open a URL; nothing to do for local paths.

    Raises:
        UserError: it cannot, or the store does not answer.
    """
    if not is_url(path):
        return
    url = UrlPath(str(path))
    if url.scheme not in _schemes():
        raise UserError(_cannot_open(url))
    if not url.parts:
        raise UserError(f"Expected a host or bucket in {url.scheme}://...")
    if url.scheme == "s3":
        _reach_bucket(url.parts[0])


@contextlib.contextmanager
def local_copy(path: str | os.PathLike | UrlPath) -> Iterator[pathlib.Path]:
    """A local file with the content of any path, for readers that need one.

    A local path is given as it is; what a URL holds is downloaded, under its
    name, and deleted after the block.
    """
    path = as_path(path)
    if isinstance(path, pathlib.Path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / path.name.partition("?")[0]
        path.copy_to(copy)
        yield copy


def missing(path: Path) -> str:
    """What else may be the matter where nothing was found; "" for local."""
    if isinstance(path, UrlPath) and path.scheme == "s3":
        return (
            " (Or your AWS_* credentials may not read it: that looks the same.)"
        )
    return ""


def require_ffmpeg() -> None:
    """Raises a UserError unless tensorflow-io's video decoder loads here."""
    _ffmpeg()


def ffmpeg_decode(content: bytes) -> np.ndarray:
    """All frames of an encoded video, uint8 `(time, height, width, 3)`.

    Args:
        content: a file's bytes, of any format that FFmpeg knows.

    Raises:
        UserError: tensorflow-io's decoder does not load here, or cannot read
            this content.
    """
    decode = _ffmpeg()
    try:
        return decode(content).numpy()
    except tf.errors.OpError as error:
        raise UserError(
            f"FFmpeg cannot decode this video: {error.message}"
        ) from error


@functools.cache
def _schemes() -> tuple[str, ...]:
    """Those that TensorFlow opens, with tensorflow-io where that works."""
    with contextlib.suppress(ImportError):
        _import_tensorflow_io()
    schemes = tuple(tf.io.gfile.get_registered_schemes())
    if "s3" in schemes:
        atexit.register(_skip_native_destructors)
    return schemes


@functools.cache
def _import_tensorflow_io():
    """Imports it without its warnings: our errors say what does not work."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow_io
    return tensorflow_io


def _skip_native_destructors() -> None:
    """Ends the process before tensorflow-io's S3 client can abort it.

    Whoever used s3:// would end with "pure virtual method called" and exit
    code 134 (tensorflow/io issue 2039). Registered last, glibc's _exit is
    called first, with the real exit code, when Python itself has finished.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "on_exit"):
        libc.on_exit(libc._exit, None)


def _cannot_open(url: UrlPath) -> str:
    if "s3" in _schemes():
        known = ", ".join(f"{name}://" for name in sorted(_schemes()) if name)
        return f"Expected a local path or one of {known}. Received: {url}"
    try:
        _import_tensorflow_io()
    except ImportError as error:
        here = f"it is not there ({error})"
    else:
        here = "its native code does not load there"
    return (
        f"TensorFlow {tf.__version__} cannot open {url.scheme}:// here. It "
        "needs tensorflow-io 0.37.1, which loads in TensorFlow 2.16 and 2.17 "
        f"(not from 2.18 on, and not on Python 3.13); {here}. Make an "
        f"environment with: {INSTALL}"
    )


@functools.cache
def _reach_bucket(bucket: str) -> None:
    """Asks once for the bucket, because tensorflow-io does not say.

    It retries an endpoint that does not answer for a minute, each time, and
    then finds that the file does not exist.
    """
    endpoint = _endpoint()
    request = urllib.request.Request(f"{endpoint}/{bucket}", method="HEAD")
    # Nothing is sent that is secret, and only the status is looked at.
    unchecked = ssl.create_default_context()
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),  # tensorflow-io knows of none either
        urllib.request.HTTPSHandler(context=unchecked),
    )
    try:
        opener.open(request, timeout=REACH_SECONDS).close()
    except urllib.error.HTTPError as error:
        if error.code == 404:
            raise UserError(
                f"{endpoint} says that it has no bucket {bucket!r}."
            ) from error
    except OSError as error:
        raise UserError(
            f"{endpoint} does not answer ({error}). Look at S3_ENDPOINT and "
            "AWS_REGION."
        ) from error


def _endpoint() -> str:
    """Where tensorflow-io finds S3, from the environment that it reads."""
    region = os.environ.get("AWS_REGION", "us-east-1")
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    endpoint = os.environ.get("S3_ENDPOINT", f"s3.{region}.{domain}")
    if "://" not in endpoint:
        plain = os.environ.get("S3_USE_HTTPS") in ("0", "false")
        endpoint = f"{'http' if plain else 'https'}://{endpoint}"
    return endpoint.rstrip("/")


@functools.cache
def _ffmpeg():
    """tensorflow-io's decode_video, which loads when it is first called."""
    try:
        decode = _import_tensorflow_io().experimental.ffmpeg.decode_video
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            with contextlib.suppress(tf.errors.OpError):  # "" is no video
                decode("")
        return decode
    except ImportError as error:
        reason = str(error)
    except NotImplementedError:  # how it says that no library of its loads
        # The first is of its newest library; the others say no more.
        reason = str(said[0].message).rpartition("caused by:")[2].strip(" []'")
    raise UserError(
        f"tensorflow-io's FFmpeg does not load in TensorFlow {tf.__version__}: "
        f"{reason}. It needs TensorFlow 2.16 or 2.17 ({INSTALL}) and, on the "
        "loader's path, libavformat.so.58, libavcodec.so.58, libavutil.so.56 "
        "and libswscale.so.5 of FFmpeg 4."
    )
