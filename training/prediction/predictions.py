"""Predict a list of videos; errors of single videos do not stop it."""

import collections
import concurrent.futures
import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ..data import frame_sampling
from ..data.clip_reader import VideoError
from ..io.progress import Progress
from ..io.user_error import UserError
from . import timeline
from .predictor import Predictor
from .timeline import Timeline
from .video_inputs import Input


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Scores of one input, or the reason why there are none.

    Attributes:
        path: of the input.
        scores: float64 `(classes,)`; None after an error.
        reason: message of the error.
        timeline: scores along the video, with `--timeline`.
    """

    path: str
    scores: np.ndarray | None = None
    reason: str = ""
    timeline: Timeline | None = None

    @property
    def error_line(self) -> str:
        """The reason with the path, as one line."""
        if self.path in self.reason:
            return self.reason
        return f"{self.path}: {self.reason}"


def predict(
    predictor: Predictor, inputs: Sequence[Input]
) -> Iterator[Prediction]:
    """Score inputs in order, reading ahead in threads."""
    for source, pixels in _read_ahead(predictor, inputs):
        if isinstance(pixels, VideoError):
            yield Prediction(source.path, reason=str(pixels))
            continue
        try:
            scores = predictor.score(pixels)
        except UserError as error:  # wrong size of a clip file
            if not predictor.is_clip(source):
                raise
            yield Prediction(source.path, reason=str(error))
            continue
        yield check_finite(Prediction(source.path, scores))


def predict_timelines(
    predictor: Predictor, inputs: Sequence[Input], step_s: float
) -> Iterator[Prediction]:
    """Score clips along videos; a video's scores are pooled over its clips.

    Args:
        predictor: of clips.
        inputs: videos.
        step_s: seconds from one clip to the next.
    """
    for source in inputs:
        try:
            if source.reason:
                raise VideoError(source.reason)
            along = _score_timeline(predictor, source.path, step_s)
        except VideoError as error:
            yield Prediction(source.path, reason=str(error))
            continue
        scores = predictor.pooled(along.scores[None])[0]
        yield check_finite(Prediction(source.path, scores, timeline=along))


def check_finite(prediction: Prediction) -> Prediction:
    """Replace scores that are not finite by an error."""
    if prediction.scores is not None and np.isfinite(prediction.scores).all():
        return prediction
    reason = (
        "the outputs are not finite: the training of the model diverged, or "
        "its weights are damaged; use another model"
    )
    return Prediction(prediction.path, reason=reason)


def _score_timeline(predictor: Predictor, path: str, step_s: float) -> Timeline:
    bars: list[Progress] = []

    def progress(count, total):
        if not bars:
            bars.append(Progress(total, f"clips of {path}"))
        bars[0].update(count)

    return timeline.score_timeline(predictor, path, step_s, progress)


def _read_ahead(
    predictor: Predictor, inputs: Iterable[Input]
) -> Iterator[tuple[Input, np.ndarray | VideoError]]:
    """Yield the views of each input, or the error of reading it."""

    def read(source):
        try:
            return predictor.read(source)
        except VideoError as error:
            return error

    count = 1
    if predictor.sampling is not None:
        count = frame_sampling.views_at_once(
            predictor.sampling, predictor.views
        )
    waiting: collections.deque = collections.deque()
    pool = concurrent.futures.ThreadPoolExecutor(count)
    try:
        for source in inputs:
            waiting.append((source, pool.submit(read, source)))
            if len(waiting) > count:
                source, future = waiting.popleft()
                yield source, future.result()
        while waiting:
            source, future = waiting.popleft()
            yield source, future.result()
    finally:
        pool.shutdown(cancel_futures=True)
