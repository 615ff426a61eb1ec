"""File systems and video decoder of tensorflow-io, for TensorFlow's own ops.

Ops of a tf.data pipeline open local files, gs://, and what tensorflow-io adds:
s3://, http:// and others. Its last release, 0.37.1, loads in TensorFlow 2.16
and 2.17 only; elsewhere it imports with a warning and adds nothing. Stores
other than Amazon's are set by S3_ENDPOINT (http://host:port), S3_USE_HTTPS and
S3_VERIFY_SSL (0 or 1).
"""

import atexit
import contextlib
import ctypes
import functools
import warnings

import numpy as np
import tensorflow as tf

from . import paths
from .user_error import UserError

INSTALL = (
    "pip install -c constraints-tfio.txt -e '.[io,url]' on Python 3.11 or 3.12"
)


def require(path: str | paths.Path) -> None:
    """Check that ops of TensorFlow can open a path; load tensorflow-io for it.

    Raises:
        UserError: they cannot.
    """
    if not paths.is_url(path) or paths.UrlPath(str(path)).scheme in _schemes():
        return
    try:
        _import_tensorflow_io()
    except ImportError as error:
        reason = f"it is not installed ({error})"
    else:
        reason = "its native code does not load"
    raise UserError(
        f"TensorFlow {tf.__version__} cannot read {path} in a tf.data "
        "pipeline. That needs tensorflow-io 0.37.1, which loads in "
        f"TensorFlow 2.16 and 2.17 only; here {reason}. Copy the data to a "
        f"local folder, or make an environment with: {INSTALL}"
    )


def ffmpeg_decode(content: bytes) -> np.ndarray:
    """Decode all frames of a video, uint8 `(time, height, width, 3)`.

    Args:
        content: bytes of a file in any format of FFmpeg.

    Raises:
        UserError: tensorflow-io's decoder does not load, or cannot decode it.
    """
    decode = require_ffmpeg()
    try:
        return decode(content).numpy()
    except tf.errors.OpError as error:
        raise UserError(
            f"FFmpeg cannot decode this video: {error.message}"
        ) from error


@functools.cache
def _schemes() -> tuple[str, ...]:
    """Return the schemes that TensorFlow opens, with those of tensorflow-io."""
    with contextlib.suppress(ImportError):
        _import_tensorflow_io()
    schemes = tuple(tf.io.gfile.get_registered_schemes())
    if "s3" in schemes:
        atexit.register(_skip_native_destructors)
    return schemes


@functools.cache
def _import_tensorflow_io():
    """Import it without its warnings, which our errors explain."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow_io
    return tensorflow_io


def _skip_native_destructors() -> None:
    """End the process before the destructor of the S3 client aborts it.

    Else its exit code is 134 (tensorflow/io issue 2039). Registered last,
    glibc's _exit runs first, with the real exit code, after Python's end.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "on_exit"):
        libc.on_exit(libc._exit, None)


@functools.cache
def require_ffmpeg():
    """Return tensorflow-io's video decoder, which its first call loads.

    Raises:
        UserError: it does not load.
    """
    try:
        decode = _import_tensorflow_io().experimental.ffmpeg.decode_video
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with contextlib.suppress(tf.errors.OpError):  # "" is no video
                decode("")
        return decode
    except ImportError as error:
        reason = str(error)
    except NotImplementedError:  # none of its libraries loads
        # The first warning is of its newest library; the others say no more.
        reason = str(caught[0].message)
        reason = reason.rpartition("caused by:")[2].strip(" []'")
    raise UserError(
        f"tensorflow-io's FFmpeg does not load in TensorFlow {tf.__version__}: "
        f"{reason}. It needs TensorFlow 2.16 or 2.17 ({INSTALL}) and, on the "
        "loader's path, libavformat.so.58, libavcodec.so.58, libavutil.so.56 "
        "and libswscale.so.5 of FFmpeg 4."
    )
