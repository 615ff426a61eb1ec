"""Reading one clip from a file the user has."""

import io

import numpy as np
import tensorflow as tf

from training import files, remote
from training.data import sampling as samples
from training.data.sources import VideoError
from training.data.video_views import VideoViews
from training.errors import UserError
from training.recipe import SamplingConfig

READERS = (".npy", ".gif")


def read_clip(
    path: str | remote.Path, sampling: SamplingConfig | None = None
) -> np.ndarray:
    """Reads uint8 frames `(time, height, width, 3)`, or one image.

    Args:
        path: a .npy file of uint8 RGB pixels, or a GIF; or its URL. With
            `sampling` a video file too.
        sampling: which frames of a video, and which part of them, the network
            was trained on: the clip in the middle, its middle.

    Raises:
        UserError: there is no such file, or it cannot be read.
    """
    path = remote.as_path(path)
    if sampling is not None and path.suffix.lower() not in READERS:
        return _middle_of_video(str(path), sampling)
    if not path.is_file():
        raise UserError(f"There is no file {path}.")
    if path.suffix.lower() not in READERS:
        raise UserError(
            f"Expected a clip as {' or '.join(READERS)}. Received: {path}"
        )
    try:
        if path.suffix.lower() == ".gif":
            clip = tf.io.decode_gif(path.read_bytes()).numpy()
        else:
            with path.open("rb") as file:
                # No pickles: a clip file must not run code.
                clip = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, EOFError, tf.errors.OpError) as error:
        raise UserError(
            f"{path} cannot be read as a {path.suffix} clip: {error}"
        ) from error
    if clip.dtype != np.uint8 or clip.ndim not in (3, 4):
        raise UserError(
            f"Expected {path} to hold uint8 pixels (time, height, width, 3). "
            f"Received: {clip.dtype} {clip.shape}"
        )
    return clip


def _middle_of_video(path: str, sampling: SamplingConfig) -> np.ndarray:
    """What validation sees of a video."""
    try:
        views = VideoViews(path, sampling).read(samples.middle(sampling))
    except VideoError as error:
        raise UserError(f"{path}: {error}") from error
    return views[0]


def write_clip(path: str | remote.Path, clip: np.ndarray) -> None:
    """Writes uint8 frames as a .npy file that `read_clip` reads."""
    path = remote.as_path(path)
    if path.suffix.lower() != ".npy":
        raise UserError(f"Expected a name that ends in .npy. Received: {path}")
    content = io.BytesIO()
    np.save(content, clip)
    files.write_bytes(path, content.getvalue())
