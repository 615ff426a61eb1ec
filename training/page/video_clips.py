"""Clips of an uploaded video, decoded into a temporary file.

Memory does not grow with the duration of the video. The temporary file is
unnamed, so that it disappears even if the process is killed.
"""

import contextlib
import dataclasses
import math
import pathlib
import tempfile
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ..data import (
    clip_files,
    frame_sampling,
    video_decoder,
    video_index,
    video_views,
)
from ..data.clip_reader import VideoError
from ..data.frame_times import FrameTimes
from ..data.sampling_config import SamplingConfig, ViewsConfig
from ..data.video_index import VideoIndex
from ..data.video_limits import Limits
from ..io.user_error import UserError

MAX_CLIPS = 60
DEFAULT_FPS = 25.0  # of files without a frame rate

Progress = Callable[[str, int, int], None]


class _ClientDisconnected(Exception):
    """The browser disconnected; not an OSError, which would blame the file."""


class _CancellableLimits(Limits):
    """Limits whose checks also abort when the client disconnects.

    Args:
        limits: on reading the video.
        check_connected: called for each frame; raises a ConnectionError after
            the client disconnected.
    """

    _check_connected: Callable[[], None]

    def __init__(self, limits: Limits, check_connected: Callable[[], None]):
        super().__init__(**dataclasses.asdict(limits))
        object.__setattr__(self, "_check_connected", check_connected)

    def check_size(self, width: int, height: int) -> None:
        try:
            self._check_connected()
        except ConnectionError as error:
            raise _ClientDisconnected from error
        super().check_size(width, height)


class FrameStore:
    """Frames of one size in a temporary file.

    Args:
        shape: of a frame, `(height, width, 3)`.
    """

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape
        self.count = 0
        self._bytes = math.prod(shape)
        self._file = tempfile.TemporaryFile()

    def add(self, frame: np.ndarray) -> int:
        """Append a frame, uint8 `shape`; return its number."""
        self._file.seek(self.count * self._bytes)
        self._file.write(np.ascontiguousarray(frame, np.uint8).tobytes())
        self.count += 1
        return self.count - 1

    def read(self, numbers) -> np.ndarray:
        """Read frames by number, uint8 `(n, *shape)`."""
        out = np.empty((len(numbers), *self.shape), np.uint8)
        for number, frame in zip(numbers, out, strict=True):
            self._file.seek(int(number) * self._bytes)
            content = self._file.read(self._bytes)
            frame[...] = np.frombuffer(content, np.uint8).reshape(self.shape)
        return out

    def close(self) -> None:
        """Delete the temporary file."""
        self._file.close()


@dataclasses.dataclass(frozen=True)
class VideoClips:
    """Clips of an uploaded file.

    Attributes:
        frames: of all clips.
        numbers: frame numbers of each clip, int `(clips, time)`.
        seconds: (start, end) of each clip; empty for files without times.
        about: one-line description of the clips and the file.
    """

    frames: FrameStore
    numbers: np.ndarray
    seconds: list[tuple[float, float]]
    about: str

    def clip(self, index: int) -> np.ndarray:
        """Read the pixels of a clip, uint8 `(time, height, width, 3)`."""
        return self.frames.read(self.numbers[index])


def single_clip(pixels: np.ndarray, about: str) -> VideoClips:
    """Wrap the pixels of one clip without times.

    Args:
        pixels: uint8 `(time, height, width, 3)`.
        about: one-line description.

    Raises:
        UserError: the shape is not that of a clip, or empty.
    """
    if pixels.ndim != 4 or not pixels.size:
        raise UserError(
            "Expected a clip of shape (time, height, width, 3). "
            f"Received: {pixels.shape}"
        )
    frames = FrameStore(pixels.shape[1:])
    numbers = [frames.add(frame) for frame in pixels]
    return VideoClips(frames, np.array([numbers]), [], about)


def read_clip_file(
    path: pathlib.Path, check_shape: Callable[[tuple[int, ...]], None]
) -> VideoClips:
    """Read a .npy or .gif file as one clip.

    Args:
        path: of the file.
        check_shape: called with the shape of the pixels before they are
            stored; raises for shapes that are refused.
    """
    pixels = clip_files.read_clip(path)
    check_shape(pixels.shape)
    return single_clip(pixels, f"One clip of {len(pixels)} frames.")


def read_video(
    path: pathlib.Path,
    sampling: SamplingConfig,
    progress: Progress,
    limits: Limits | None = None,
) -> VideoClips:
    """Read clips along a video, one per second up to `MAX_CLIPS`.

    Args:
        path: of a video file.
        sampling: of the training: clip length, frame rate and crop.
        progress: called with (activity, count, total).
        limits: on reading the video; None for the defaults.

    Raises:
        UserError: the video cannot be read.
        ConnectionError: `progress` raised it because the client disconnected.
    """
    limits = _CancellableLimits(
        limits or Limits(), lambda: progress("Reading the video", 0, 0)
    )
    try:
        index = video_index.index_video(path, limits)
        clip_frames = frames_of_clips(index, sampling)
        return _read(path, index, clip_frames, sampling, progress, limits)
    except VideoError as error:
        raise UserError(f"The video cannot be read: {error}.") from error
    except _ClientDisconnected as error:
        raise ConnectionResetError from error


def _read(path, index, clip_frames, sampling, progress, limits) -> VideoClips:
    """Read all frames in one pass and store their crops."""
    view = frame_sampling.middle(sampling)
    distinct, kept = np.unique(clip_frames, return_inverse=True)
    frames = FrameStore((view.crop_px, view.crop_px, 3))
    resampler = video_views.resampler(index, view)
    stream = video_decoder.stream_frames(
        path, distinct.tolist(), index, resampler, limits=limits
    )
    try:
        with contextlib.closing(stream):
            # Not in a transform: errors here are not decoding errors.
            for _, pixels in stream:
                frames.add(pixels[0])
                progress("Decoding frames", frames.count, len(distinct))
    except BaseException:
        frames.close()
        raise
    times = _times(index)
    seconds = [
        (float(times.starts_s(clip.min())), float(times.ends_s(clip.max())))
        for clip in clip_frames
    ]
    return VideoClips(
        frames,
        kept.reshape(clip_frames.shape),
        seconds,
        describe_clips(index, seconds),
    )


def _times(index: VideoIndex) -> FrameTimes:
    """Return the times of frames, at a default rate if the file has none."""
    return index.times or FrameTimes(index.frames, DEFAULT_FPS, None, False)


def frames_of_clips(index: VideoIndex, sampling: SamplingConfig) -> np.ndarray:
    """Return the frame numbers of each clip, int64 `(clips, time)`."""
    times = _times(index)
    rate = sampling.fps or times.fps
    span = sampling.frames * sampling.stride / rate
    room = times.length_s - span
    frames = tf.constant(index.frames, tf.int64)
    fps = tf.constant(index.fps, tf.float64)
    view = frame_sampling.middle(sampling)
    if room > 0:
        view = ViewsConfig(
            clips=min(1 + math.ceil(room), MAX_CLIPS),
            starts="mmaction2",  # from the first frame to the last
        )
        if times.edges_s is not None:  # along its seconds, not its frames
            middles = np.linspace(0, times.length_s, view.clips)
            return frame_sampling.around(
                middles, frames, fps, sampling, times.edges_s
            ).numpy()
    return frame_sampling.clips(
        frames, fps, sampling, view, times.edges_s
    ).numpy()


def describe_clips(index: VideoIndex, seconds) -> str:
    long = _times(index).length_s
    text = f"{len(seconds)} clip{'s'[: len(seconds) > 1]} of a video of "
    text += f"{long:.1f} s, {index.width} x {index.height}"
    if len(seconds) == MAX_CLIPS:
        apart = (seconds[-1][0] - seconds[0][0]) / (len(seconds) - 1)
        text += f"; a clip every {apart:.1f} s, at most {MAX_CLIPS}"
    if not index.fps:
        text += f"; no frame rate in the file, assuming {DEFAULT_FPS:g} fps"
    elif not index.stamped:
        text += (
            "; times from its average frame rate, since its time stamps are "
            "out of order"
        )
    return text + "."
