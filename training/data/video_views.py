"""One video file, looked at as a test looks at the videos of a data set."""

import contextlib
import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from ..recipes.schema import SamplingConfig, ViewsConfig
from . import decode, pipeline, transforms
from . import sampling as samples
from .decode import VideoIndex
from .frame_times import FrameTimes
from .listing import Listing, Video
from .part import Part
from .sources import Source, VideoError
from .video_files import VideoFiles
from .video_limits import Limits
from .whole_videos import WholeVideos


class VideoViews:
    """A video file and what can be looked at of it.

    Args:
        path: of the file; `http://` and, with tensorflow-io, `s3://` too.
        sampling: which frames make a clip.
        decoder: as `DataConfig.decoder`.
        limits: of what reading it may take; None for those of all files.

    Attributes:
        probe: its frames and their size and times.

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
        self._index = OneIndex(limits)
        self._source: Source = (
            WholeVideos()
            if decoder == "tensorflow_io"
            else VideoFiles(self._index)
        )
        video = Video(path)
        self.probe = self._source.probe(video)
        pairs = [(video, self.probe)]
        self._part = Part("test", pairs, self._source, Listing((), {}))

    def read(self, views: ViewsConfig) -> np.ndarray:
        """All views, uint8 `(clips * crops, time, height, width, 3)`.

        Raises:
            VideoError: it cannot be read any more.
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
        """Frame numbers of clips around times, int64 `(n, time)`.

        Raises:
            VideoError: the file does not say when its frames are shown.
        """
        times = self.times
        return samples.around(
            tf.constant(times_s, tf.float64),
            tf.constant(times.frames, tf.int64),
            tf.constant(times.fps, tf.float64),
            self._sampling,
            times.edges_s,
        ).numpy()

    @property
    def times(self) -> FrameTimes:
        """When its frames are shown.

        Raises:
            VideoError: the file does not say that.
        """
        if self.probe.times is None:
            raise VideoError("it does not say how many frames a second it has")
        return self.probe.times

    def slide(
        self, clips: np.ndarray, views: ViewsConfig
    ) -> Iterator[np.ndarray]:
        """Reads clips one after the other in a single pass over the file.

        Only frames of the clip at hand that a later one needs too are kept,
        so that a video of any length takes the memory of a clip.

        Args:
            clips: from `frames_around`, of rising times.
            views: which crops of each.

        Yields:
            uint8 `(crops, time, height, width, 3)` for each clip.

        Raises:
            VideoError: it cannot be read any more.
        """
        index = self._index.index(self._path)
        stream = decode.stream_frames(
            self._path,
            np.unique(clips).tolist(),
            index,
            resampler(index, views),
            on_disorder=lambda: self._index.count_from_now_on(self._path),
            limits=self._index.limits,
        )
        held: dict[int, np.ndarray] = {}
        with contextlib.closing(stream):
            for clip in clips.tolist():
                for number in [n for n in held if n < min(clip)]:
                    del held[number]
                while max(clip) not in held:
                    number, pictures = next(stream)
                    held[number] = pictures
                yield np.stack([held[number] for number in clip], axis=1)


def resampler(index: VideoIndex, views: ViewsConfig) -> transforms.Resampler:
    """What takes the crops of views out of the frames of a file."""
    windows, size_px = pipeline.windows_of(index.height, index.width, views)
    return transforms.Resampler(
        index.height, index.width, windows.numpy(), size_px.numpy()
    )


class OneIndex:
    """What is known of one file, for as long as it is looked at.

    Unlike the cache of the data sets it writes no file, and cannot be wrong
    about what is at a web address today.

    Args:
        limits: of what reading it may take; None for those of all files.
    """

    def __init__(self, limits: Limits | None = None):
        self.limits = limits or Limits()
        self._found: VideoIndex | None = None

    def index(self, path: str) -> VideoIndex:
        """Decodes the file once."""
        if self._found is None:
            self._found = decode.index_video(path, self.limits)
        return self._found

    def count_from_now_on(self, path: str) -> None:
        """Keeps that seeking in the file leads nowhere."""
        self._found = dataclasses.replace(self.index(path), order="count")
