"""Many videos scored, one after the other; what is bad does not end it."""

import collections
import concurrent.futures
import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ..data import sampling as samples
from ..data.sources import VideoError
from ..io.progress import Progress
from ..io.user_error import UserError
from . import timeline
from .predictor import Predictor
from .timeline import Timeline
from .video_inputs import Input


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What was found for one input.

    Attributes:
        path: of the input.
        scores: float64 `(classes,)`; None where it could not be scored.
        reason: why not.
        timeline: scores along the video, where those were asked for.
    """

    path: str
    scores: np.ndarray | None = None
    reason: str = ""
    timeline: Timeline | None = None

    @property
    def complaint(self) -> str:
        """The reason and whose it is, as a line."""
        if self.path in self.reason:
            return self.reason
        return f"{self.path}: {self.reason}"


def predict(
    predictor: Predictor, inputs: Sequence[Input]
) -> Iterator[Prediction]:
    """Scores inputs in order; some are read ahead while others are scored."""
    for source, pixels in _read_ahead(predictor, inputs):
        if isinstance(pixels, VideoError):
            yield Prediction(source.path, reason=str(pixels))
            continue
        try:
            scores = predictor.score(pixels)
        except UserError as error:  # a clip file of another size
            if not predictor.is_clip(source):
                raise
            yield Prediction(source.path, reason=str(error))
            continue
        yield checked(Prediction(source.path, scores))


def predict_along(
    predictor: Predictor, inputs: Sequence[Input], step_s: float
) -> Iterator[Prediction]:
    """Scores clips along videos; those of a video make its own scores.

    Args:
        predictor: of clips.
        inputs: videos.
        step_s: from one clip to the next, in seconds.
    """
    for source in inputs:
        try:
            if source.reason:
                raise VideoError(source.reason)
            along = _look(predictor, source.path, step_s)
        except VideoError as error:
            yield Prediction(source.path, reason=str(error))
            continue
        scores = predictor.pooled(along.scores[None])[0]
        yield checked(Prediction(source.path, scores, timeline=along))


def checked(found: Prediction) -> Prediction:
    """Scores that are finite; others are none, and not JSON either."""
    if found.scores is not None and np.isfinite(found.scores).all():
        return found
    reason = (
        "the outputs are not finite: the training of the model diverged, or "
        "its weights are damaged; take another model"
    )
    return Prediction(found.path, reason=reason)


def _look(predictor: Predictor, path: str, step_s: float) -> Timeline:
    said: list[Progress] = []

    def progress(done, total):
        if not said:
            said.append(Progress(total, f"clips of {path}"))
        said[0].at(done)

    return timeline.look(predictor, path, step_s, progress)


def _read_ahead(
    predictor: Predictor, inputs: Iterable[Input]
) -> Iterator[tuple[Input, np.ndarray | VideoError]]:
    """What is looked at of each input, or why it cannot be."""

    def read(source):
        try:
            return predictor.read(source)
        except VideoError as error:
            return error

    count = 1
    if predictor.sampling is not None:
        count = samples.views_at_once(predictor.sampling, predictor.views)
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
