"""When the frames of a video are shown.

Screen recorders and phones leave out frames, so frame k is not shown at
k / rate. Frame k is shown from `edges_s[k]` to `edges_s[k + 1]`, counted from
the first frame, whatever its own time stamp is.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

# Time stamps that are so close to those of a constant rate are taken to be
# rounded: in frames, and in seconds as Matroska rounds.
ROUNDED_FRAMES = 0.1
ROUNDED_S = 1e-3
# The longest time that a file can say for its last frame, if no other frame is
# shown longer; some say nonsense there.
LAST_FRAME_S = 10.0
# A frame that is shown longer is taken for a mistake in the time stamps.
LONGEST_FRAME_S = 3600.0
UNTRUSTED = (
    "{path} has time stamps that are missing or out of order; its times are "
    "those of its average frame rate."
)


@dataclasses.dataclass(frozen=True)
class FrameTimes:
    """Times of the frames of one video, in seconds from the first.

    Attributes:
        frames: how many it has.
        fps: frames a second, on average; above 0.
        edges_s: float64 `(frames + 1,)`, ascending from 0; None where frames
            are evenly spaced.
        stamped: whether that is from time stamps; else they were missing or
            out of order, and the times are those of a constant rate.
    """

    frames: int
    fps: float
    edges_s: np.ndarray | None = None
    stamped: bool = True

    @property
    def length_s(self) -> float:
        """When the last frame ends."""
        if self.edges_s is None:
            return self.frames / self.fps
        return float(self.edges_s[-1])

    def starts_s(self, numbers: np.ndarray) -> np.ndarray:
        """When frames are shown first."""
        if self.edges_s is None:
            return np.asarray(numbers) / self.fps
        return self.edges_s[numbers]

    def ends_s(self, numbers: np.ndarray) -> np.ndarray:
        """When frames end."""
        return self.starts_s(np.asarray(numbers) + 1)

    def frame_at(self, seconds: float) -> int:
        """The frame that is shown at a time; -1 or `frames` beyond the ends."""
        if not 0 <= seconds < self.length_s:
            return -1 if seconds < 0 else self.frames
        place = seconds * self.fps
        if self.edges_s is not None:
            count = np.arange(self.frames + 1)
            place = float(np.interp(seconds, self.edges_s, count))
        # The seconds at which a frame starts find it, rounded or not.
        return min(int(place + 1e-6), self.frames - 1)


def measure(
    stamps: Sequence[int | None], last_duration: int, stream, in_order: bool
) -> FrameTimes | None:
    """Times of the frames of a stream, from their time stamps if they can be.

    Args:
        stamps: of all frames as the decoder puts them out.
        last_duration: of the last frame, in the unit of the stamps; 0 if the
            file does not say.
        stream: of PyAV, with that unit and with rates.
        in_order: whether the stamps are those of all packets too. Then the
            rate is theirs, because headers may lie.

    Returns:
        The times; those of a constant rate where time stamps are missing, out
        of order or too far apart to be true; None if there is no rate either.
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
    """Edges between frames, where those of a constant rate would be wrong.

    Args:
        starts_s: times of all frames, strictly ascending from 0.
        fps: of the constant rate.
        last_duration_s: of the last frame as the file says it; 0 if it does
            not.

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
    """Whether all frames have time stamps, each after the one before."""
    if not stamps or None in stamps:
        return False
    return bool((np.diff(np.array(stamps, np.int64)) > 0).all())
