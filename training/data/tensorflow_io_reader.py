"""Read clips from video files with tensorflow-io (`data.decoder`).

For systems without PyAV: every clip takes the time and memory of decoding the
whole video. Set it with `--set data.decoder=tensorflow_io`.
"""

import os

import numpy as np

from ..io import paths, tensorflow_plugins
from ..io.user_error import UserError
from . import transforms
from .clip_reader import ClipReader, Probe, VideoError
from .manifest import Video


class TensorFlowIOReader(ClipReader):
    """Reads video files with tensorflow-io's FFmpeg.

    Raises:
        UserError: its FFmpeg libraries cannot be loaded.
    """

    tf_ops = False

    def __init__(self):
        tensorflow_plugins.require_ffmpeg()

    def probe(self, video: Video) -> Probe:
        frames, height, width, _ = _decoded(video.path).shape
        return Probe(frames, height, width, video.fps or 0.0)

    def fields(self, video: Video) -> dict[str, str | int]:
        return {"path": video.path}

    def read(self, fields, frames, windows, size_px):
        clip = _decoded(os.fsdecode(fields["path"]))
        _, height, width, _ = clip.shape
        resampler = transforms.Resampler(height, width, windows, size_px)
        distinct, positions = np.unique(frames, return_inverse=True)
        last = len(clip) - 1
        crops = np.stack([resampler(clip[min(n, last)]) for n in distinct])
        return np.swapaxes(crops[positions], 0, 1)  # (w, n, h, w, 3)


def _decoded(path: str) -> np.ndarray:
    """Decode all frames of a file, uint8 `(time, height, width, 3)`."""
    try:
        content = paths.as_path(path).read_bytes()
        clip = tensorflow_plugins.ffmpeg_decode(content)
    except FileNotFoundError as error:
        raise VideoError("there is no such file") from error
    except (OSError, UserError) as error:
        raise VideoError(f"it cannot be read: {error}") from error
    if not len(clip):
        raise VideoError("no frame can be decoded")
    return clip
