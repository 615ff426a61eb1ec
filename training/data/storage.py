"""The table of what videos are kept in, and what reads each."""

from collections.abc import Callable

import tensorflow as tf

from nonlocal_tf.choices import unknown
from training.data.frame_folders import FrameFolders
from training.data.index_cache import IndexCache
from training.data.records import Records
from training.data.sources import Source
from training.data.video_files import VideoFiles
from training.data.video_limits import Limits
from training.data.whole_videos import WholeVideos
from training.errors import UserError
from training.recipe import DataConfig

# Where the videos of a data set are kept, and what reads them.
SOURCES: dict[str, Callable[[DataConfig], Source]] = {
    "videos": lambda data: _decoder(data),
    "frames": lambda data: FrameFolders(Limits.of(data)),
    "records": lambda data: Records(),
}


def evaluated(function):
    """A traced function as one from NumPy's arrays to NumPy's arrays."""

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
    """What reads video files."""
    if data.decoder == "pyav":
        return VideoFiles(IndexCache(data.cache, Limits.of(data)))
    if data.decoder == "tensorflow_io":
        return WholeVideos()
    known = ["pyav", "tensorflow_io"]
    raise UserError(unknown("data.decoder", data.decoder, known))
