"""Table of the kinds of storage and their clip readers."""

from collections.abc import Callable

from nonlocal_tf.choices import unknown

from ..io.user_error import UserError
from .clip_reader import ClipReader
from .data_config import DataConfig
from .frame_folder_reader import FrameFolderReader
from .index_cache import IndexCache
from .pyav_reader import PyAVReader
from .shard_reader import ShardReader
from .tensorflow_io_reader import TensorFlowIOReader
from .video_limits import Limits

READERS: dict[str, Callable[[DataConfig], ClipReader]] = {
    "videos": lambda data: _decoder(data),
    "frames": lambda data: FrameFolderReader(Limits.of(data)),
    "records": lambda data: ShardReader(),
}


def _decoder(data: DataConfig) -> ClipReader:
    """Return the reader of video files."""
    if data.decoder == "pyav":
        return PyAVReader(IndexCache(data.cache, Limits.of(data)))
    if data.decoder == "tensorflow_io":
        return TensorFlowIOReader()
    decoders = ["pyav", "tensorflow_io"]
    raise UserError(unknown("data.decoder", data.decoder, decoders))
