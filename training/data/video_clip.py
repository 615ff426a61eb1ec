"""One clip of a video file, and where its pixels are in the video."""

import dataclasses

import numpy as np
import tensorflow as tf

from ..io.user_error import UserError
from ..recipes.schema import SamplingConfig
from . import decode, transforms
from . import sampling as samples
from .sources import VideoError
from .video_limits import Limits

DIMMED = 0.4  # of the brightness, where a network does not look


@dataclasses.dataclass(frozen=True)
class VideoClip:
    """What a network sees of a video, and what there is.

    Attributes:
        path: of the file.
        index: of the file.
        pixels: uint8, `(time, crop, crop, 3)`.
        numbers: of the video's frames, int64 `(time,)`.
        window: that is cut out of each frame, as `transforms` has it.
        limits: of what reading the file may take; None for those of all files.
    """

    path: str
    index: decode.VideoIndex
    pixels: np.ndarray
    numbers: np.ndarray
    window: np.ndarray
    limits: Limits | None = None

    @property
    def offset(self) -> tuple[float, float]:
        """(y, x) of the clip's corner in the scaled frame."""
        return float(self.window[0]), float(self.window[1])

    @property
    def scale(self) -> tuple[float, float]:
        """(down, along), pixels of the video a pixel of the clip."""
        return float(self.window[2]), float(self.window[3])

    @property
    def milliseconds(self) -> float | None:
        """From one frame of the clip to the next; None where not known."""
        times = self.index.times
        if times is None or len(self.numbers) < 2:
            return None
        steps = np.diff(times.starts_s(self.numbers))
        return 1000 * float(np.median(np.abs(steps)))

    def names(self) -> list[str]:
        """Of the frames: number and, where it is known, time."""
        times = self.index.times
        if times is None:
            return [f"frame {number}" for number in self.numbers]
        starts_s = times.starts_s(self.numbers)
        return [
            f"frame {number}, {start_s:.1f} s"
            for number, start_s in zip(self.numbers, starts_s, strict=True)
        ]

    def whole_frames(self, short_side_px: int) -> np.ndarray:
        """The video's frames, dark where the clip does not reach.

        Args:
            short_side_px: to which larger frames are scaled down.

        Returns:
            uint8 `(time, height, width, 3)`.

        Raises:
            UserError: they cannot be read.
        """
        height, width = self.index.height, self.index.width
        short = min(short_side_px, height, width)
        window, size = transforms.whole_window(height, width, short)
        resampler = transforms.Resampler(
            height, width, window.numpy()[None], size.numpy()
        )
        frames = _read(
            self.path, self.numbers, self.index, resampler, self.limits
        )
        rows, columns = (
            _inside(pixels, total, offset, scale, side)
            for pixels, total, offset, scale, side in zip(
                size.numpy(),
                (height, width),
                self.offset,
                self.scale,
                self.pixels.shape[1:3],
                strict=True,
            )
        )
        seen = rows[:, None] & columns[None]
        # By a table: numbers of another kind would take eight times as much.
        dark = (np.arange(256) * DIMMED).astype(np.uint8)
        return np.where(seen[..., None], frames, dark[frames])


def read(
    path: str,
    sampling: SamplingConfig,
    at_s: float | None = None,
    limits: Limits | None = None,
) -> VideoClip:
    """Reads a clip of a video file as validation does.

    Args:
        path: of the file, or its URL.
        sampling: which frames of a video, and which part of them, the network
            was trained on.
        at_s: where the clip starts, in seconds from the first frame. Default:
            where it has to for its middle to be the video's.
        limits: of what reading it may take; None for those of all files.

    Raises:
        UserError: the file cannot be read, or ends before that.
    """
    views = samples.middle(sampling)
    try:
        index = decode.index_video(path, limits)
    except VideoError as error:
        raise UserError(f"{path}: {error}") from error
    count = tf.constant(index.frames, tf.int64)
    fps = tf.constant(index.fps, tf.float64)
    edges_s = index.edges_s
    if at_s is None:
        (numbers,) = samples.clips(count, fps, sampling, views, edges_s)
    else:
        start = tf.constant(_start(path, index, at_s), tf.int64)
        numbers = samples.clip_from(start, count, fps, sampling, edges_s)
    windows = transforms.crop_windows(
        index.height, index.width, views.short_side_px, views.crop_px, 1
    ).numpy()
    resampler = transforms.Resampler(
        index.height, index.width, windows, [views.crop_px] * 2
    )
    numbers = numbers.numpy()
    pixels = _read(path, numbers, index, resampler, limits)
    return VideoClip(path, index, pixels, numbers, windows[0], limits)


def _start(path: str, index: decode.VideoIndex, at_s: float) -> int:
    """The frame that is shown at a time."""
    times = index.times
    if times is None:
        raise UserError(
            f"{path} does not say how many frames a second it has: its parts "
            "cannot be found by time."
        )
    start = times.frame_at(at_s)
    if not 0 <= start < index.frames:
        raise UserError(
            f"Expected a time from 0 to before {times.length_s:.2f} s, where "
            f"{path} ends. Received: {at_s:g} s"
        )
    return start


def _read(path, numbers, index, resampler, limits) -> np.ndarray:
    """The one window of each frame."""
    try:
        return decode.read_frames(
            path, numbers, index, resampler, limits=limits
        )[:, 0]
    except VideoError as error:
        raise UserError(f"{path}: {error}") from error


def _inside(pixels, total, offset, scale, side) -> np.ndarray:
    """Which pixels along a side of a scaled frame are in the window."""
    middle = (np.arange(pixels) + 0.5) * total / pixels
    return (middle >= offset * scale) & (middle < (offset + side) * scale)
