"""Reading one clip from a file the user has."""

import io
import tokenize

import numpy as np
import tensorflow as tf

from ..io import atomic_files, outputs, remote
from ..io.user_error import UserError

READERS = (".npy", ".gif")
# Of them, those that a network of videos takes as they are; a GIF is a video.
PIXELS = (".npy",)
# What NumPy raises on a .npy whose header is no header, or claims too much.
BROKEN = (
    ValueError,
    EOFError,
    SyntaxError,
    TypeError,
    OverflowError,
    MemoryError,
    RecursionError,
    tokenize.TokenError,
)


def is_clip(path: str | remote.Path, videos: bool) -> bool:
    """Whether a file holds the pixels of one clip, none of which is left out.

    Args:
        path: of the file, or its URL.
        videos: whether it is for a network of videos, not of made clips.
    """
    name = str(path).partition("?")[0].lower()
    return name.endswith(PIXELS if videos else READERS)


def read_clip(path: str | remote.Path) -> np.ndarray:
    """Reads uint8 frames `(time, height, width, 3)`, or one image.

    Args:
        path: a .npy file of uint8 RGB pixels, or a GIF; or its URL.

    Raises:
        UserError: there is no such file, or it cannot be read.
    """
    path = remote.as_path(path)
    try:
        if atomic_files.is_endless(path):
            raise UserError(f"{path} cannot be read: {atomic_files.ENDLESS}.")
        if not path.is_file():
            raise UserError(f"There is no file {path}.")
        if path.suffix.lower() not in READERS:
            raise UserError(
                f"Expected a clip as {' or '.join(READERS)}. Received: {path}"
            )
        if path.suffix.lower() == ".gif":
            clip = tf.io.decode_gif(path.read_bytes()).numpy()
        else:
            with path.open("rb") as file:
                # No pickles: a clip file must not run code.
                clip = np.lib.format.read_array(file, allow_pickle=False)
    except (*BROKEN, OSError, tf.errors.OpError) as error:
        raise UserError(
            f"{path} cannot be read as a {path.suffix} clip: {error}"
        ) from error
    if clip.dtype != np.uint8 or clip.ndim not in (3, 4):
        raise UserError(
            f"Expected {path} to hold uint8 pixels (time, height, width, 3). "
            f"Received: {clip.dtype} {clip.shape}"
        )
    return clip


def check_name(path: str | remote.Path) -> remote.Path:
    """Where a clip will be written.

    Raises:
        UserError: its name does not end in .npy.
    """
    path = remote.as_path(path)
    if path.suffix.lower() != ".npy":
        raise UserError(f"Expected a name that ends in .npy. Received: {path}")
    return path


def write_clip(path: str | remote.Path, clip: np.ndarray) -> None:
    """Writes uint8 frames as a .npy file that `read_clip` reads.

    Raises:
        UserError: its name does not end so, or it is a file of the user's.
    """
    path = check_name(path)
    content = io.BytesIO()
    np.save(content, clip)
    outputs.write_bytes(path, content.getvalue())
