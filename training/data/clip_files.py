"""Read and write single clips as .npy or GIF files."""

import io
import tokenize

import numpy as np
import tensorflow as tf

from ..io import atomic_files, outputs, paths
from ..io.user_error import UserError

FORMATS = (".npy", ".gif")
# Formats that video networks take as clips; to them a GIF is a video.
ARRAY_FORMATS = (".npy",)
# Exceptions of NumPy on a malformed or oversized .npy header.
NPY_ERRORS = (
    ValueError,
    EOFError,
    SyntaxError,
    TypeError,
    OverflowError,
    MemoryError,
    RecursionError,
    tokenize.TokenError,
)


def is_clip(path: str | paths.Path, videos: bool) -> bool:
    """Return whether a file is one clip, to be classified as a whole.

    Args:
        path: path or URL of the file.
        videos: whether the network was trained on video files, of which clips
            are sampled.
    """
    name = str(path).partition("?")[0].lower()
    return name.endswith(ARRAY_FORMATS if videos else FORMATS)


def read_clip(path: str | paths.Path) -> np.ndarray:
    """Read uint8 frames `(time, height, width, 3)`, or one image.

    Args:
        path: path or URL of a .npy file of uint8 RGB pixels, or of a GIF.

    Raises:
        UserError: the file does not exist or cannot be read.
    """
    path = paths.as_path(path)
    try:
        atomic_files.check_not_endless(path)
        if not path.is_file():
            raise UserError(f"There is no file {path}.")
        if path.suffix.lower() not in FORMATS:
            raise UserError(
                f"Expected a clip as {' or '.join(FORMATS)}. Received: {path}"
            )
        if path.suffix.lower() == ".gif":
            clip = tf.io.decode_gif(path.read_bytes()).numpy()
        else:
            with path.open("rb") as file:
                # No pickles: a clip file must not run code.
                clip = np.lib.format.read_array(file, allow_pickle=False)
    except (*NPY_ERRORS, OSError, tf.errors.OpError) as error:
        raise UserError(
            f"{path} cannot be read as a {path.suffix} clip: {error}"
        ) from error
    if clip.dtype != np.uint8 or clip.ndim not in (3, 4):
        raise UserError(
            f"Expected {path} to hold uint8 pixels (time, height, width, 3). "
            f"Received: {clip.dtype} {clip.shape}"
        )
    return clip


def check_name(path: str | paths.Path) -> paths.Path:
    """Return the path of a clip to write.

    Raises:
        UserError: the name does not end in .npy.
    """
    path = paths.as_path(path)
    if path.suffix.lower() != ".npy":
        raise UserError(f"Expected a file name *.npy. Received: {path}")
    return path


def write_clip(path: str | paths.Path, clip: np.ndarray) -> None:
    """Write uint8 frames as a .npy file that `read_clip` reads.

    Raises:
        UserError: the name does not end in .npy, or the file exists and was
            not written by this program.
    """
    path = check_name(path)
    content = io.BytesIO()
    np.save(content, clip)
    outputs.write_bytes(path, content.getvalue())
