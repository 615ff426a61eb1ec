"""Display times of video frames.

Screen recorders and phones drop frames, so frame k is not displayed at
k / rate. Frame k is displayed from `edges_s[k]` to `edges_s[k + 1]`, in seconds
from the start of the first frame.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

# Tolerance of timestamps to a constant rate, for rounding: in frames, and in
# seconds as Matroska rounds.
ROUNDED_FRAMES = 0.1
ROUNDED_S = 1e-3
# Longest plausible duration of the last frame, unless another frame is longer.
LAST_FRAME_S = 10.0
# Longer frames are taken for wrong timestamps.
LONGEST_FRAME_S = 3600.0
UNTRUSTED = (
    "{path} has timestamps that are missing or out of order; its times are "
    "computed from its average frame rate."
)


@dataclasses.dataclass(frozen=True)
class FrameTimes:
    """Display times of the frames of one video, in seconds from the first.

    Attributes:
        frames: number of frames.
        fps: average frames per second, above 0.
        edges_s: float64 `(frames + 1,)`, ascending from 0; None for evenly
            spaced frames.
        stamped: whether times are from timestamps; if these were missing or
            out of order, times are those of a constant rate.
    """

    frames: int
    fps: float
    edges_s: np.ndarray | None = None
    stamped: bool = True

    @property
    def length_s(self) -> float:
        """End of the last frame."""
        if self.edges_s is None:
            return self.frames / self.fps
        return float(self.edges_s[-1])

    def starts_s(self, numbers: np.ndarray) -> np.ndarray:
        """Return start times of frames."""
        if self.edges_s is None:
            return np.asarray(numbers) / self.fps
        return self.edges_s[numbers]

    def ends_s(self, numbers: np.ndarray) -> np.ndarray:
        """Return end times of frames."""
        return self.starts_s(np.asarray(numbers) + 1)

    def frame_at(self, seconds: float) -> int:
        """Return the frame displayed at a time; -1 or `frames` outside."""
        if not 0 <= seconds < self.length_s:
            return -1 if seconds < 0 else self.frames
        position = seconds * self.fps
        if self.edges_s is not None:
            count = np.arange(self.frames + 1)
            position = float(np.interp(seconds, self.edges_s, count))
        # The tolerance is for start times that were rounded down.
        return min(int(position + 1e-6), self.frames - 1)


def measure(
    stamps: Sequence[int | None], last_duration: int, stream, in_order: bool
) -> FrameTimes | None:
    """Measure display times of the frames of a stream.

    Args:
        stamps: timestamps of all frames in decoder order.
        last_duration: duration of the last frame in the time base of the
            stream; 0 if unknown.
        stream: PyAV's stream, with time base and rates.
        in_order: whether frames and packets have the same timestamps. Then the
            rate is computed from them, because headers may be wrong.

    Returns:
        The times; those of a constant rate if timestamps are missing, out of
        order or implausibly far apart; None if the rate is unknown too.
    """
    usual = float(stream.average_rate or 0)
    if not (stream.time_base and _ascend(stamps)):
        return FrameTimes(len(stamps), usual, None, False) if usual else None
    ticks = np.array(stamps, np.int64)
    ticks -= ticks[0]
    unit_s = float(stream.time_base)
    if np.diff(ticks).max(initial=0) * unit_s > LONGEST_FRAME_S:
        usual = float(stream.guessed_rate or 0)
        return FrameTimes(len(stamps), usual, None, False) if usual else None
    fps = usual
    if len(ticks) > 1 and (in_order or not usual):
        fps = (len(ticks) - 1) / float(int(ticks[-1]) * stream.time_base)
    if not fps:
        return None
    edges_s = uneven_edges(ticks * unit_s, fps, last_duration * unit_s)
    return FrameTimes(len(stamps), fps, edges_s)


def uneven_edges(
    starts_s: np.ndarray, fps: float, last_duration_s: float = 0.0
) -> np.ndarray | None:
    """Return edges between unevenly spaced frames.

    Args:
        starts_s: start times of all frames, strictly ascending from 0.
        fps: average frames per second.
        last_duration_s: duration of the last frame in the file; 0 if unknown.

    Returns:
        float64 `(frames + 1,)` from 0, or None if frames are evenly spaced.
    """
    even = np.arange(len(starts_s)) / fps
    rounded = max(ROUNDED_FRAMES / fps, ROUNDED_S)
    if len(starts_s) < 2 or abs(starts_s - even).max() <= rounded:
        return None
    durations = np.diff(starts_s)
    last = last_duration_s
    if not 0 < last <= max(LAST_FRAME_S, durations.max()):
        last = durations[-1]
    return np.append(starts_s, starts_s[-1] + last)


def _ascend(stamps: Sequence[int | None]) -> bool:
    """Return whether all frames have strictly ascending timestamps."""
    if not stamps or None in stamps:
        return False
    return bool((np.diff(np.array(stamps, np.int64)) > 0).all())
