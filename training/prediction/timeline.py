"""What is seen when in a long video: a clip slid along it."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..data.sources import VideoError
from ..evaluation import scoring
from ..runs import curves
from .predictor import BATCH, Predictor

# More lines than looks would be hard to tell apart.
DRAWN = len(curves.COLOURS)


@dataclasses.dataclass(frozen=True)
class Timeline:
    """Scores along a video.

    Attributes:
        step_s: from one row to the next, in seconds.
        times_s: middles of the clips as they were wanted, `(n,)`: 0, one
            step, two steps, ... up to the end.
        starts_s: where the clips that were looked at start, `(n,)`; near the
            ends of the video they are the first and the last.
        ends_s: where they end, `(n,)`.
        scores: float64 `(n, classes)`.
        length_s: of the video.
        stamped: whether its times are those of its time stamps; else they are
            those of its average rate.
    """

    step_s: float
    times_s: np.ndarray
    starts_s: np.ndarray
    ends_s: np.ndarray
    scores: np.ndarray
    length_s: float
    stamped: bool = True


def look(
    predictor: Predictor,
    path: str,
    step_s: float,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Timeline:
    """Scores clips along a video; its memory does not grow with the video's.

    Args:
        predictor: whose views say which crops of each clip.
        path: of the video.
        step_s: from the middle of one clip to that of the next, in seconds.
        progress: is called with (clips done, clips in all).

    Raises:
        VideoError: the video cannot be read.
    """
    video = predictor.open(path)
    shown = video.times
    clips_s = times(shown.frames, shown.frames / shown.length_s, step_s)
    clips = video.frames_around(clips_s)
    waiting = scoring.Waiting(predictor.step, BATCH)
    for done, views in enumerate(video.slide(clips, predictor.views), start=1):
        waiting.add(views)
        progress(done, len(clips))
    scores = waiting.end()  # (clips * crops, classes)
    return Timeline(
        step_s=step_s,
        times_s=clips_s,
        starts_s=shown.starts_s(clips.min(axis=1)),
        ends_s=shown.ends_s(clips.max(axis=1)),
        scores=predictor.pooled(
            scores.reshape(len(clips), -1, scores.shape[-1])
        ),
        length_s=shown.length_s,
        stamped=shown.stamped,
    )


def times(frames: int, fps: float, step_s: float) -> np.ndarray:
    """0, one step, two steps, ... before the end of a video, in seconds.

    Raises:
        VideoError: its frames have no times.
    """
    if not fps:
        raise VideoError("it does not say how many frames a second it has")
    # Half a frame less: times of frames, and so their rate, are often rounded.
    count = math.ceil((frames - 0.5) / fps / step_s)
    return np.arange(count) * step_s


def stretches(
    timeline: Timeline, classes: Sequence[str]
) -> Iterator[tuple[float, float, str, float]]:
    """Where the best class stays the same: (from, to, class, mean score).

    Both in seconds; a row stands for the time until the next, the last one for
    that until the end of the video.
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
    """Draw the scores of the classes that score best somewhere.

    Args:
        timeline: of the video.
        classes: names.
        title: of the picture.
        lines: how many classes, four at the most.

    Returns:
        A PNG file.

    Raises:
        UserError: matplotlib is not installed (extra `viz`).
    """
    order = np.argsort(-timeline.scores.max(axis=0), kind="stable")
    drawn = [
        curves.Curve(classes[label], timeline.scores[:, label].tolist(), look)
        for look, label in enumerate(order[: min(lines, DRAWN)])
    ]
    panel = curves.Panel(title, drawn, covers=(0.0, 1.0), up="score")
    across = "time in the video (s)"
    return curves.png(timeline.times_s.tolist(), [panel], across)
