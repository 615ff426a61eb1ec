"""Frame sampling: choose the frames of clips for training and evaluation.

Without `sampling.fps`, a stride counts frames of the file, whatever their
times. With it, a stride counts frames at that rate, and a clip takes the frame
displayed at each of its times. Unevenly spaced frames (`edges_s`, as in
`FrameTimes`) may then be repeated or skipped.
"""

import math
import os
from collections.abc import Callable

import tensorflow as tf

from nonlocal_tf.choices import unknown

from .sampling_config import AUTO, SamplingConfig, ViewsConfig
from .transforms import below

PAST_END = ("wrap", "clamp")
# Memory for views that are read ahead.
VIEWS_BYTES = 2 << 30
MAX_CLIPS = 1000  # of a video; more take hours and are nearly the same


def random_clip(
    draw, frames, fps, sampling: SamplingConfig, edges_s=None, factor=None
):
    """Return the frames of a clip at a random start in a video.

    Args:
        draw: float32 in [0, 1), which chooses the start.
        frames: number of frames of the video, int64.
        fps: rate of the video, float64; 0 if unknown.
        sampling: length and stride of the clip.
        edges_s: float64 `(frames + 1,)`; empty or None for evenly spaced
            frames.
        factor: of the stride, float64; None for 1. One above 1 is reduced
            where the clip would not fit in the video.

    Returns:
        int64 frame numbers, `(sampling.frames,)`.
    """
    if sampling.fps is None:
        stride, span = sampling.stride, sampling.frames * sampling.stride
        if factor is not None:
            stride *= _fitting(factor, frames, span)
            # A hundred frames may be 100.00000000000001.
            exact_span = sampling.frames * stride - 1e-6
            span = tf.cast(tf.math.ceil(exact_span), tf.int64)
        room = tf.maximum(frames - span, 0)
        start = tf.cast(below(draw, room + 1), tf.int64)
        return _from(start, frames, sampling, stride)
    time = _time(frames, fps, sampling, edges_s)
    room, span = time.room_and_span(sampling)
    if factor is not None:
        span *= _fitting(factor, frames, span)
        room = tf.maximum(tf.cast(frames, tf.float64) - span, 0.0)
    return _evenly(tf.cast(draw, tf.float64) * room, span, time, sampling)


def clips(
    frames, fps, sampling: SamplingConfig, views: ViewsConfig, edges_s=None
):
    """Return the frames of the clips of an evaluation.

    Args:
        frames: number of frames of the video, int64.
        fps: rate of the video, float64; 0 if unknown.
        sampling: length and stride of each clip.
        views: number and starts of the clips.
        edges_s: as for `random_clip`.

    Returns:
        int64 frame numbers, `(views.clips, sampling.frames)`.
    """
    start = STARTS[views.starts]
    if sampling.fps is None:
        span = sampling.frames * sampling.stride
        if views.starts in TO_LAST_FRAME:
            span -= sampling.stride - 1
        room = tf.maximum(frames - span, 0)
        starts = [
            tf.cast(start(frames, room, clip, views.clips), tf.int64)
            for clip in range(views.clips)
        ]
        return tf.stack([_from(first, frames, sampling) for first in starts])
    time = _time(frames, fps, sampling, edges_s)
    room, span = time.room_and_span(sampling)
    return tf.stack(
        [
            _evenly(
                start(frames, room, clip, views.clips), span, time, sampling
            )
            for clip in range(views.clips)
        ]
    )


def clip_from(start, frames, fps, sampling: SamplingConfig, edges_s=None):
    """Return the frames of the clip that starts with a frame.

    Args:
        start: number of the first frame, int64.
        frames: as for `random_clip`.
        fps: as for `random_clip`.
        sampling: as for `random_clip`.
        edges_s: as for `random_clip`.

    Returns:
        int64 frame numbers, `(sampling.frames,)`.
    """
    if sampling.fps is None:
        return _from(start, frames, sampling)
    time = _time(frames, fps, sampling, edges_s)
    _, span = time.room_and_span(sampling)
    return _evenly(time.of_frame(start), span, time, sampling)


def around(times_s, frames, fps, sampling: SamplingConfig, edges_s=None):
    """Return the frames of clips centred at some times.

    Near the ends of the video, clips are shifted to lie inside it. Only if the
    video is shorter than a clip, `sampling.past_end` applies.

    Args:
        times_s: centres, in seconds from the start, float64 `(n,)`.
        frames: number of frames of the video, int64.
        fps: rate of the video, float64, above 0.
        sampling: length and stride of each clip.
        edges_s: as for `random_clip`.

    Returns:
        int64 frame numbers, `(n, sampling.frames)`.
    """
    time = _time(frames, fps, sampling, edges_s)
    if sampling.fps is None:
        whole = sampling.frames * sampling.stride
        span = tf.constant(whole, tf.float64)
        room = tf.maximum(tf.cast(frames, tf.float64) - span, 0)
        middles = time.frame_of(times_s * time.rate)
        start = tf.clip_by_value(middles - span / 2, 0, room)[:, None]
        return _from(tf.cast(start, tf.int64), frames, sampling)
    room, span = time.room_and_span(sampling)
    start = tf.clip_by_value(times_s * time.rate - span / 2, 0, room)[:, None]
    return _evenly(start, span, time, sampling)


def middle(sampling: SamplingConfig) -> ViewsConfig:
    """Return the view of validation: the centre in time and space."""
    return ViewsConfig(
        clips=1,
        crops=1,
        short_side_px=sampling.eval_short_side_px,
        crop_px=sampling.crop_px,
        starts="centre",
    )


def _tenths(frames, room, clip, clips):
    """Start clips as the authors' code: int(frames / clips * clip)."""
    del room
    return tf.cast(frames, tf.float64) / clips * clip


def _before_end(frames, room, clip, clips):
    """Start clips as SlowFast, which divides the possible starts evenly."""
    del frames
    return tf.cast(room, tf.float64) * clip / clips


def _centre(frames, room, clip, clips):
    del frames, clip, clips
    return tf.floor(tf.cast(room, tf.float64) / 2)


def _to_end(frames, room, clip, clips):
    """Start clips as MMAction2: first at the start, last at the end."""
    if clips == 1:
        return _centre(frames, room, clip, clips)
    # Half to even, as NumPy in MMAction2.
    return tf.round(tf.cast(room, tf.float64) / (clips - 1) * clip)


STARTS = {
    "authors": _tenths,
    "slowfast": _before_end,
    "mmaction2": _to_end,
    "centre": _centre,
}
# Here a clip ends with its last frame, not one stride later.
TO_LAST_FRAME = ("mmaction2",)


def views_at_once(sampling: SamplingConfig, views: ViewsConfig) -> int:
    """Return the number of videos whose views fit in memory together."""
    # 30 views of a long clip are most of a gigabyte, and are copied twice.
    size = 3 * _views_bytes(sampling, views)
    return min(os.cpu_count() or 1, max(1, VIEWS_BYTES // size))


def _views_bytes(sampling: SamplingConfig, views: ViewsConfig) -> int:
    """Estimate the memory of the views of a video."""
    if views.crops:
        area = views.crops * views.crop_px**2
    else:
        area = views.short_side_px**2 * 16 // 9
    return views.clips * sampling.frames * area * 3


def check(sampling: SamplingConfig, views: ViewsConfig) -> None:
    """Raise a ValueError for invalid or inconsistent settings."""
    if sampling.past_end not in PAST_END:
        raise ValueError(unknown("past_end", sampling.past_end, PAST_END))
    if views.starts not in STARTS:
        raise ValueError(unknown("starts", views.starts, sorted(STARTS)))
    if isinstance(sampling.frame_stride, str) and sampling.frame_stride != AUTO:
        raise ValueError(
            f"Expected frame_stride to be a number from 1, or {AUTO}. "
            f"Received: {sampling.frame_stride!r}"
        )
    has_number = sampling.frame_stride != AUTO
    strides = ["frame_stride"] * has_number
    numbers = ("frames", "crop_px", "repeats", *strides)
    sampling.check_augmentation()
    for config, names in (
        (sampling, numbers),
        (views, ("clips", "crop_px")),
    ):
        for name in names:
            if getattr(config, name) < 1:
                raise ValueError(
                    f"Expected {name} to be at least 1. "
                    f"Received: {getattr(config, name)}"
                )
    if views.clips > MAX_CLIPS:
        raise ValueError(
            f"Expected at most {MAX_CLIPS} clips of a video. "
            f"Received: {views.clips}"
        )
    if sampling.fps is not None and not 0 < sampling.fps < math.inf:
        raise ValueError(
            f"Expected fps to be a number above 0. Received: {sampling.fps}"
        )
    if views.crops not in (0, 1, 3):
        raise ValueError(
            f"Expected crops to be 1, 3, or 0 for whole frames. "
            f"Received: {views.crops}"
        )
    low, high = sampling.min_short_side_px, sampling.max_short_side_px
    if not sampling.crop_px <= low <= high:
        raise ValueError(
            "Expected crop_px <= min_short_side_px <= max_short_side_px. "
            f"Received: {sampling.crop_px}, {low}, {high}"
        )
    for crop, short in (
        (sampling.crop_px, sampling.eval_short_side_px),
        (views.crop_px if views.crops else 0, views.short_side_px),
    ):
        if crop > short:
            raise ValueError(
                "Expected crops no larger than the short side. "
                f"Received: {crop} of {short}"
            )


def _fitting(factor, frames, span):
    """Reduce a factor above 1 to let a clip fit in its video, if it can."""
    longest = tf.cast(frames, tf.float64) / tf.cast(span, tf.float64)
    return tf.minimum(factor, tf.maximum(longest, 1.0))


def _from(start, frames, sampling, stride=None):
    """Return every n-th frame from `start`; n may be a fraction."""
    stride = sampling.stride if stride is None else stride
    numbers = tf.range(sampling.frames, dtype=tf.int64)
    if tf.is_tensor(stride):
        places = stride * tf.cast(numbers, tf.float64)
        numbers = start + tf.cast(tf.floor(places), tf.int64)
    else:
        numbers = start + stride * numbers
    if sampling.past_end == "wrap":
        return numbers % frames
    return tf.minimum(numbers, frames - 1)


class _Time:
    """Time in a video, in units of its average frame duration.

    An evenly spaced frame k is displayed from k to k + 1.

    Args:
        frames: number of frames of the video, int64.
        rate: frames per second, float64.
        edges_s: as for `random_clip`.

    Attributes:
        frames: number of frames.
        rate: frames per second; with `edges_s`, the average over the video.
    """

    def __init__(self, frames, rate, edges_s):
        self.frames, self.rate, self._edges_s = frames, rate, edges_s
        if edges_s is not None:
            count = tf.cast(frames, tf.float64)
            self.rate = self._if_uneven(
                lambda: count / edges_s[-1], lambda: tf.convert_to_tensor(rate)
            )

    def room_and_span(self, sampling):
        """Return the latest start of a clip, and its length."""
        span = sampling.frames * sampling.stride * self.rate / sampling.fps
        frames = tf.cast(self.frames, tf.float64)
        return tf.maximum(frames - span, 0.0), span

    def of_frame(self, number):
        """Return the start time of a frame."""
        return self._if_uneven(
            lambda: self._edges_s[number] * self.rate,
            lambda: tf.cast(number, tf.float64),
        )

    def frame_of(self, time):
        """Return the frame displayed at a time, with its elapsed fraction."""
        return self._if_uneven(
            lambda: self._interpolated(time), lambda: tf.identity(time)
        )

    def _if_uneven(self, uneven: Callable, even: Callable):
        if self._edges_s is None:
            return even()
        return tf.cond(tf.size(self._edges_s) > 0, uneven, even)

    def _interpolated(self, time):
        edges = self._edges_s * self.rate
        # The tolerance is for start times that were rounded down.
        frame = tf.searchsorted(
            edges,
            tf.reshape(time, [-1]) + 1e-6,
            side="right",
            out_type=tf.int64,
        )
        frame = tf.clip_by_value(frame - 1, 0, self.frames - 1)
        frame = tf.reshape(frame, tf.shape(time))
        start, stop = tf.gather(edges, frame), tf.gather(edges, frame + 1)
        elapsed = (time - start) / (stop - start)
        elapsed = tf.clip_by_value(elapsed, 0.0, 1 - 1e-6)
        return tf.cast(frame, tf.float64) + elapsed


def _time(frames, fps, sampling, edges_s) -> _Time:
    """Return the time of a video; an unknown rate is taken as the clip's."""
    rate = fps if sampling.fps is None else tf.where(fps > 0, fps, sampling.fps)
    return _Time(frames, rate, edges_s)


def _evenly(start, span, time: _Time, sampling):
    """Sample even steps from the first to the last frame, as SlowFast."""
    moments = start + tf.linspace(
        tf.cast(0, tf.float64), tf.maximum(span - 1, 0), sampling.frames
    )
    frames = time.frames
    if sampling.past_end == "wrap":
        moments = tf.math.floormod(moments, tf.cast(frames, tf.float64))
        numbers = tf.cast(tf.floor(time.frame_of(moments)), tf.int64)
        return numbers % frames
    numbers = tf.cast(tf.floor(time.frame_of(moments)), tf.int64)
    return tf.clip_by_value(numbers, 0, frames - 1)
