"""Read one clip of a video file, with its position in the video."""

import dataclasses

import numpy as np
import tensorflow as tf

from ..io.user_error import UserError
from . import frame_sampling, transforms, video_decoder, video_index
from .clip_reader import VideoError
from .sampling_config import SamplingConfig
from .video_limits import Limits

DIMMED = 0.4  # brightness outside of the crop


@dataclasses.dataclass(frozen=True)
class VideoClip:
    """A clip of a video and its position in space and time.

    Attributes:
        path: path of the file.
        index: index of the file.
        pixels: uint8, `(time, crop, crop, 3)`.
        numbers: frame numbers in the video, int64 `(time,)`.
        window: crop window of each frame, as in `transforms`.
        limits: resource limits; None for the defaults.
    """

    path: str
    index: video_index.VideoIndex
    pixels: np.ndarray
    numbers: np.ndarray
    window: np.ndarray
    limits: Limits | None = None

    @property
    def offset(self) -> tuple[float, float]:
        """Corner (y, x) of the clip in the resized frame."""
        return float(self.window[0]), float(self.window[1])

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the video per pixel of the clip, (y, x)."""
        return float(self.window[2]), float(self.window[3])

    @property
    def milliseconds(self) -> float | None:
        """Time between frames of the clip; None if unknown."""
        times = self.index.times
        if times is None or len(self.numbers) < 2:
            return None
        steps = np.diff(times.starts_s(self.numbers))
        return 1000 * float(np.median(np.abs(steps)))

    def names(self) -> list[str]:
        """Return captions of the frames: number and time, if known."""
        times = self.index.times
        if times is None:
            return [f"frame {number}" for number in self.numbers]
        starts_s = times.starts_s(self.numbers)
        return [
            f"frame {number}, {start_s:.1f} s"
            for number, start_s in zip(self.numbers, starts_s, strict=True)
        ]

    def whole_frames(self, short_side_px: int) -> np.ndarray:
        """Return whole frames, dimmed outside of the crop.

        Args:
            short_side_px: short side to which larger frames are resized.

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
            _crop_mask(pixels, total, offset, scale, side)
            for pixels, total, offset, scale, side in zip(
                size.numpy(),
                (height, width),
                self.offset,
                self.scale,
                self.pixels.shape[1:3],
                strict=True,
            )
        )
        crop = rows[:, None] & columns[None]
        # A table, because floats would take several times the memory.
        dark = (np.arange(256) * DIMMED).astype(np.uint8)
        return np.where(crop[..., None], frames, dark[frames])


def read(
    path: str,
    sampling: SamplingConfig,
    at_s: float | None = None,
    limits: Limits | None = None,
) -> VideoClip:
    """Read a clip of a video file with the view of validation.

    Args:
        path: path or URL of the file.
        sampling: frame sampling and crop that the network was trained with.
        at_s: start of the clip, in seconds from the first frame. By default
            the clip is centred in the video.
        limits: resource limits; None for the defaults.

    Raises:
        UserError: the file cannot be read, or `at_s` is past its end.
    """
    views = frame_sampling.middle(sampling)
    try:
        index = video_index.index_video(path, limits)
    except VideoError as error:
        raise UserError(f"{path}: {error}") from error
    count = tf.constant(index.frames, tf.int64)
    fps = tf.constant(index.fps, tf.float64)
    edges_s = index.edges_s
    if at_s is None:
        (numbers,) = frame_sampling.clips(count, fps, sampling, views, edges_s)
    else:
        start = tf.constant(_start(path, index, at_s), tf.int64)
        numbers = frame_sampling.clip_from(start, count, fps, sampling, edges_s)
    windows = transforms.crop_windows(
        index.height, index.width, views.short_side_px, views.crop_px, 1
    ).numpy()
    resampler = transforms.Resampler(
        index.height, index.width, windows, [views.crop_px] * 2
    )
    numbers = numbers.numpy()
    pixels = _read(path, numbers, index, resampler, limits)
    return VideoClip(path, index, pixels, numbers, windows[0], limits)


def _start(path: str, index: video_index.VideoIndex, at_s: float) -> int:
    """Return the frame displayed at a time."""
    times = index.times
    if times is None:
        raise UserError(
            f"Expected {path} to have a frame rate, to seek by time. "
            "Received: none"
        )
    start = times.frame_at(at_s)
    if not 0 <= start < index.frames:
        raise UserError(
            f"Expected a time from 0 to before {times.length_s:.2f} s, where "
            f"{path} ends. Received: {at_s:g} s"
        )
    return start


def _read(path, numbers, index, resampler, limits) -> np.ndarray:
    """Read the crop of each frame."""
    try:
        return video_decoder.read_frames(
            path, numbers, index, resampler, limits=limits
        )[:, 0]
    except VideoError as error:
        raise UserError(f"{path}: {error}") from error


def _crop_mask(pixels, total, offset, scale, side) -> np.ndarray:
    """Return a mask of the crop along one side of a resized frame."""
    centre = (np.arange(pixels) + 0.5) * total / pixels
    return (centre >= offset * scale) & (centre < (offset + side) * scale)
