"""Table of the kinds of storage and their clip readers."""

from collections.abc import Callable

import tensorflow as tf

from nonlocal_tf.choices import unknown

from ..io.user_error import UserError
from .data_config import DataConfig
from .frame_folders import FrameFolders
from .index_cache import IndexCache
from .records import Records
from .sources import Source
from .video_files import VideoFiles
from .video_limits import Limits
from .whole_videos import WholeVideos

SOURCES: dict[str, Callable[[DataConfig], Source]] = {
    "videos": lambda data: _decoder(data),
    "frames": lambda data: FrameFolders(Limits.of(data)),
    "records": lambda data: Records(),
}


def evaluated(function):
    """Wrap a TensorFlow function to take and return NumPy arrays."""

    def read(fields, frames, windows, size_px):
        fields = {name: tf.constant(value) for name, value in fields.items()}
        return function(
            fields,
            tf.constant(frames),
            tf.constant(windows),
            tf.constant(size_px),
        ).numpy()

    return read


def _decoder(data: DataConfig) -> Source:
    """Return the reader of video files."""
    if data.decoder == "pyav":
        return VideoFiles(IndexCache(data.cache, Limits.of(data)))
    if data.decoder == "tensorflow_io":
        return WholeVideos()
    decoders = ["pyav", "tensorflow_io"]
    raise UserError(unknown("data.decoder", data.decoder, decoders))
