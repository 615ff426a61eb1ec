"""The clips that `training.app` shows: a video's along its seconds, or one.

Pixels wait in a file without a name, so that a long video takes no more
memory than a short one, and nothing is left of it whatever happens.
"""

import contextlib
import dataclasses
import math
import pathlib
import tempfile
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ..data import clips, decode, video_views
from ..data import sampling as samples
from ..data.decode import VideoIndex
from ..data.frame_times import FrameTimes
from ..data.sources import VideoError
from ..data.video_limits import Limits
from ..io.user_error import UserError
from ..recipes.schema import SamplingConfig, ViewsConfig

MAX_CLIPS = 60
# Where a file does not say how many frames a second it has.
USUAL_FPS = 25.0

Progress = Callable[[str, int, int], None]


class _NobodyWaits(Exception):
    """The browser has gone; no OSError, which would be the file's fault."""


class _WatchedLimits(Limits):
    """Limits that are checked while somebody waits for the video.

    Args:
        limits: of what reading it may take.
        still_wanted: called for each frame, to raise if nobody waits.
    """

    _still_wanted: Callable[[], None]

    def __init__(self, limits: Limits, still_wanted: Callable[[], None]):
        super().__init__(**dataclasses.asdict(limits))
        object.__setattr__(self, "_still_wanted", still_wanted)

    def check_size(self, width: int, height: int) -> None:
        try:
            self._still_wanted()
        except ConnectionError as error:
            raise _NobodyWaits from error
        super().check_size(width, height)


class Frames:
    """Frames of one size, kept on the disk.

    Args:
        shape: of each, `(height, width, 3)`.
    """

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape
        self.count = 0
        self._bytes = math.prod(shape)
        self._file = tempfile.TemporaryFile()

    def add(self, frame: np.ndarray) -> int:
        """Keeps a frame, uint8 `shape`; returns its number."""
        self._file.seek(self.count * self._bytes)
        self._file.write(np.ascontiguousarray(frame, np.uint8).tobytes())
        self.count += 1
        return self.count - 1

    def read(self, numbers) -> np.ndarray:
        """Frames by their numbers, uint8 `(n, *shape)`."""
        out = np.empty((len(numbers), *self.shape), np.uint8)
        for number, frame in zip(numbers, out, strict=True):
            self._file.seek(int(number) * self._bytes)
            content = self._file.read(self._bytes)
            frame[...] = np.frombuffer(content, np.uint8).reshape(self.shape)
        return out

    def close(self) -> None:
        """Gives the room on the disk back."""
        self._file.close()


@dataclasses.dataclass(frozen=True)
class Film:
    """What was dropped, as the clips that a network is asked about.

    Attributes:
        frames: of all clips.
        numbers: int, `(clips, time)`, of the frames of each clip.
        seconds: (from, to) of each clip; empty if the pixels have no times.
        about: one line on what was taken of how much.
    """

    frames: Frames
    numbers: np.ndarray
    seconds: list[tuple[float, float]]
    about: str

    def clip(self, index: int) -> np.ndarray:
        """Pixels of a clip, uint8 `(time, height, width, 3)`."""
        return self.frames.read(self.numbers[index])


def one_clip(pixels: np.ndarray, about: str) -> Film:
    """A film of one clip that has no times.

    Args:
        pixels: uint8 `(time, height, width, 3)`.
        about: one line on where they are from.

    Raises:
        UserError: it is an image, or has no pixel.
    """
    if pixels.ndim != 4 or not pixels.size:
        raise UserError(
            "Expected a clip of shape (time, height, width, 3). "
            f"Received: {pixels.shape}"
        )
    frames = Frames(pixels.shape[1:])
    numbers = [frames.add(frame) for frame in pixels]
    return Film(frames, np.array([numbers]), [], about)


def clip_of_file(
    path: pathlib.Path, check_shape: Callable[[tuple[int, ...]], None]
) -> Film:
    """The clip of a .npy file, or of a .gif where clips are made.

    Args:
        path: of the file.
        check_shape: is given the shape of the pixels, before they are kept.
    """
    pixels = clips.read_clip(path)
    check_shape(pixels.shape)
    return one_clip(pixels, f"One clip of {len(pixels)} frames.")


def clips_of_video(
    path: pathlib.Path,
    sampling: SamplingConfig,
    progress: Progress,
    limits: Limits | None = None,
) -> Film:
    """Clips along a video, one a second as far as `MAX_CLIPS` reach.

    Args:
        path: of a video file.
        sampling: what the network was trained on: the length of a clip, and
            which part of the frames it sees.
        progress: is told what is being done, and how far it is.
        limits: of what reading it may take; None for those of all files.

    Raises:
        UserError: it cannot be read.
        ConnectionError: `progress` raised one: nobody waits.
    """
    limits = _WatchedLimits(
        limits or Limits(), lambda: progress("Reading the film", 0, 0)
    )
    try:
        index = decode.index_video(path, limits)
        wanted = _frames_of_clips(index, sampling)
        return _read(path, index, wanted, sampling, progress, limits)
    except VideoError as error:
        raise UserError(f"The film cannot be read: {error}.") from error
    except _NobodyWaits as error:
        raise ConnectionResetError from error


def _read(path, index, wanted, sampling, progress, limits) -> Film:
    """Reads all frames in one pass and keeps what is seen of them."""
    view = samples.middle(sampling)
    distinct, kept = np.unique(wanted, return_inverse=True)
    frames = Frames((view.crop_px, view.crop_px, 3))
    resampler = video_views.resampler(index, view)
    stream = decode.stream_frames(
        path, distinct.tolist(), index, resampler, limits=limits
    )
    try:
        with contextlib.closing(stream):
            # Not in a transform: what goes wrong here is not the film's fault.
            for _, pixels in stream:
                frames.add(pixels[0])
                progress("Taking frames", frames.count, len(distinct))
    except BaseException:
        frames.close()
        raise
    times = _times(index)
    seconds = [
        (float(times.starts_s(clip.min())), float(times.ends_s(clip.max())))
        for clip in wanted
    ]
    return Film(
        frames, kept.reshape(wanted.shape), seconds, _about(index, seconds)
    )


def _times(index: VideoIndex) -> FrameTimes:
    """Times of the frames; of a usual rate where the file says none."""
    return index.times or FrameTimes(index.frames, USUAL_FPS, None, False)


def _frames_of_clips(index: VideoIndex, sampling: SamplingConfig) -> np.ndarray:
    """Numbers of the frames of each clip, int64 `(clips, time)`."""
    times = _times(index)
    rate = sampling.fps or times.fps
    span = sampling.frames * sampling.stride / rate
    room = times.length_s - span
    frames = tf.constant(index.frames, tf.int64)
    fps = tf.constant(index.fps, tf.float64)
    view = samples.middle(sampling)
    if room > 0:
        view = ViewsConfig(
            clips=min(1 + math.ceil(room), MAX_CLIPS),
            starts="mmaction2",  # from the first frame to the last
        )
        if times.edges_s is not None:  # along its seconds, not its frames
            middles = np.linspace(0, times.length_s, view.clips)
            return samples.around(
                middles, frames, fps, sampling, times.edges_s
            ).numpy()
    return samples.clips(frames, fps, sampling, view, times.edges_s).numpy()


def _about(index: VideoIndex, seconds) -> str:
    long = _times(index).length_s
    text = f"{len(seconds)} clip{'s'[: len(seconds) > 1]} of a film of "
    text += f"{long:.1f} s, {index.width} x {index.height}"
    if len(seconds) == MAX_CLIPS:
        apart = (seconds[-1][0] - seconds[0][0]) / (len(seconds) - 1)
        text += f"; a clip each {apart:.1f} s, {MAX_CLIPS} at the most"
    if not index.fps:
        text += f"; it says no rate: taken to be {USUAL_FPS:g} frames a second"
    elif not index.stamped:
        text += (
            "; times by its average rate, its time stamps being out of order"
        )
    return text + "."
