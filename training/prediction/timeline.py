"""Score a long video over time by sliding a clip along it."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..data.clip_reader import VideoError
from ..evaluation import scoring
from ..io import curves
from .predictor import BATCH, Predictor

# More lines than colours would be hard to tell apart.
MAX_LINES = len(curves.COLOURS)


@dataclasses.dataclass(frozen=True)
class Timeline:
    """Scores along a video.

    Attributes:
        step_s: seconds from one row to the next.
        times_s: requested clip centres, `(n,)`: 0, one step, two steps, ...
            up to the end.
        starts_s: start times of the clips, `(n,)`; near the ends of the video
            these are the first and the last possible clip.
        ends_s: end times of the clips, `(n,)`.
        scores: float64 `(n, classes)`.
        length_s: duration of the video.
        stamped: True for times from time stamps, False for times from the
            average frame rate.
    """

    step_s: float
    times_s: np.ndarray
    starts_s: np.ndarray
    ends_s: np.ndarray
    scores: np.ndarray
    length_s: float
    stamped: bool = True


def score_timeline(
    predictor: Predictor,
    path: str,
    step_s: float,
    progress: Callable[[int, int], None] = lambda number, total: None,
) -> Timeline:
    """Score clips along a video, in memory independent of its duration.

    Args:
        predictor: its views give the crops of each clip.
        path: of the video.
        step_s: seconds from the centre of one clip to the next.
        progress: called with (number of clips scored, total).

    Raises:
        VideoError: the video cannot be read.
    """
    video = predictor.open(path)
    frame_times = video.times
    fps = frame_times.frames / frame_times.length_s
    clips_s = clip_times(frame_times.frames, fps, step_s)
    clips = video.frames_around(clips_s)
    batcher = scoring.ViewBatcher(predictor.step, BATCH)
    for number, views in enumerate(
        video.slide(clips, predictor.views), start=1
    ):
        batcher.add(views)
        progress(number, len(clips))
    scores = batcher.finish()  # (clips * crops, classes)
    return Timeline(
        step_s=step_s,
        times_s=clips_s,
        starts_s=frame_times.starts_s(clips.min(axis=1)),
        ends_s=frame_times.ends_s(clips.max(axis=1)),
        scores=predictor.pooled(
            scores.reshape(len(clips), -1, scores.shape[-1])
        ),
        length_s=frame_times.length_s,
        stamped=frame_times.stamped,
    )


def clip_times(frames: int, fps: float, step_s: float) -> np.ndarray:
    """Return 0, one step, two steps, ... up to the end, in seconds.

    Raises:
        VideoError: the frame rate is 0, i.e. unknown.
    """
    if not fps:
        raise VideoError("its frame rate is unknown")
    # Half a frame less, since containers round times and frame rates.
    count = math.ceil((frames - 0.5) / fps / step_s)
    return np.arange(count) * step_s


def segments(
    timeline: Timeline, classes: Sequence[str]
) -> Iterator[tuple[float, float, str, float]]:
    """Yield segments with the same best class: (start, end, class, mean score).

    Start and end are in seconds. A row lasts until the next row, the last one
    until the end of the video.
    """
    best = timeline.scores.argmax(axis=1)
    for label, group in itertools.groupby(range(len(best)), best.__getitem__):
        rows = list(group)
        until = float(timeline.times_s[rows[-1]] + timeline.step_s)
        yield (
            float(timeline.times_s[rows[0]]),
            min(until, timeline.length_s),
            classes[label],
            float(timeline.scores[rows, label].mean()),
        )


def png(
    timeline: Timeline, classes: Sequence[str], title: str, lines: int
) -> bytes:
    """Plot the scores of the classes with the highest peaks.

    Args:
        timeline: of the video.
        classes: class names.
        title: of the figure.
        lines: number of classes, at most four.

    Returns:
        A PNG file.

    Raises:
        UserError: matplotlib is not installed (extra `viz`).
    """
    order = np.argsort(-timeline.scores.max(axis=0), kind="stable")
    drawn = [
        curves.Curve(classes[label], timeline.scores[:, label].tolist(), look)
        for look, label in enumerate(order[: min(lines, MAX_LINES)])
    ]
    panel = curves.Panel(title, drawn, covers=(0.0, 1.0), up="score")
    across = "time in the video (s)"
    return curves.png(timeline.times_s.tolist(), [panel], across)
