"""Views of one video file, sampled as in an evaluation."""

import contextlib
import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from . import frame_sampling, pipeline, transforms, video_decoder, video_index
from .clip_reader import ClipReader, VideoError
from .frame_times import FrameTimes
from .manifest import Manifest, Video
from .pyav_reader import PyAVReader
from .sampling_config import SamplingConfig, ViewsConfig
from .tensorflow_io_reader import TensorFlowIOReader
from .video_index import VideoIndex
from .video_limits import Limits
from .video_split import VideoSplit


class VideoViews:
    """Reads views and sliding clips of one video file.

    Args:
        path: path of the file, or its URL: http://, s3:// or
            others of fsspec.
        sampling: length and stride of clips.
        decoder: as in `DataConfig`.
        limits: resource limits; None for the defaults.

    Attributes:
        probe: length, size and rate of the video.

    Raises:
        VideoError: it is missing or cannot be read.
        UserError: the decoder is not installed.
    """

    def __init__(
        self,
        path: str,
        sampling: SamplingConfig,
        decoder: str = "pyav",
        limits: Limits | None = None,
    ):
        self._path, self._sampling = path, sampling
        self._index = SingleIndex(limits)
        self._source: ClipReader = (
            TensorFlowIOReader()
            if decoder == "tensorflow_io"
            else PyAVReader(self._index)
        )
        video = Video(path)
        self.probe = self._source.probe(video)
        pairs = [(video, self.probe)]
        self._part = VideoSplit("test", pairs, self._source, Manifest((), {}))

    def read(self, views: ViewsConfig) -> np.ndarray:
        """Read all views, uint8 `(clips * crops, time, height, width, 3)`.

        Raises:
            VideoError: the file cannot be read.
        """
        pixels, _ = pipeline.views_of(
            self._part, self._sampling, self._read, views, 0
        )
        return pixels.numpy()

    def _read(self, row, frames, windows, size_px):
        fields = {name: row[name].numpy() for name in self._part.field_names}
        pixels = self._source.read(
            fields, frames.numpy(), windows.numpy(), size_px.numpy()
        )
        return pixels, 1.0

    def frames_around(self, times_s: np.ndarray) -> np.ndarray:
        """Return frame numbers of clips centred at times, int64 `(n, time)`.

        Raises:
            VideoError: the frame rate is unknown.
        """
        times = self.times
        return frame_sampling.around(
            tf.constant(times_s, tf.float64),
            tf.constant(times.frames, tf.int64),
            tf.constant(times.fps, tf.float64),
            self._sampling,
            times.edges_s,
        ).numpy()

    @property
    def times(self) -> FrameTimes:
        """Display times of the frames.

        Raises:
            VideoError: the frame rate is unknown.
        """
        if self.probe.times is None:
            raise VideoError("its frame rate is unknown")
        return self.probe.times

    def slide(
        self, clips: np.ndarray, views: ViewsConfig
    ) -> Iterator[np.ndarray]:
        """Yield clips in a single pass over the file.

        Only the frames that are needed for later clips are kept, so the memory
        is that of one clip, whatever the length of the video.

        Args:
            clips: frame numbers from `frames_around`, of ascending times.
            views: crops of each clip.

        Yields:
            uint8 `(crops, time, height, width, 3)` for each clip.

        Raises:
            VideoError: the file cannot be read.
        """
        index = self._index.index(self._path)
        stream = video_decoder.stream_frames(
            self._path,
            np.unique(clips).tolist(),
            index,
            resampler(index, views),
            on_disorder=lambda: self._index.disable_seeking(self._path),
            limits=self._index.limits,
        )
        buffer: dict[int, np.ndarray] = {}
        with contextlib.closing(stream):
            for clip in clips.tolist():
                for number in [n for n in buffer if n < min(clip)]:
                    del buffer[number]
                while max(clip) not in buffer:
                    number, crops = next(stream)
                    buffer[number] = crops
                yield np.stack([buffer[number] for number in clip], axis=1)


def resampler(index: VideoIndex, views: ViewsConfig) -> transforms.Resampler:
    """Return the resampler for the crops of views of a file."""
    windows, size_px = pipeline.windows_of(index.height, index.width, views)
    return transforms.Resampler(
        index.height, index.width, windows.numpy(), size_px.numpy()
    )


class SingleIndex:
    """Index of one file, in memory.

    Unlike `IndexCache` it writes no file, and is never outdated for a URL.

    Args:
        limits: resource limits; None for the defaults.
    """

    def __init__(self, limits: Limits | None = None):
        self.limits = limits or Limits()
        self._index: VideoIndex | None = None

    def index(self, path: str) -> VideoIndex:
        """Return the index, decoding the file on the first call."""
        if self._index is None:
            self._index = video_index.index_video(path, self.limits)
        return self._index

    def disable_seeking(self, path: str) -> None:
        """Read the file by counting frames from now on."""
        self._index = dataclasses.replace(self.index(path), order="count")
