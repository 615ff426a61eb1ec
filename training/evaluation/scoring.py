"""Score videos: run a network over views of each video.

The scores have a row for each video of the split, in the order of the data
set's list, whatever the batch size and the number of devices.
"""

import collections
import dataclasses
import time
from collections.abc import Iterator, Sequence

import numpy as np

from ..data import Dataset
from ..data.manifest import Video
from ..data.sampling_config import ViewsConfig
from ..data.video_dataset import VideoDataset
from ..io import tables
from ..io.progress import Progress
from ..io.user_error import UserError
from ..io.versions import versions
from .distributed_step import ScoreStep
from .score_parts import PART_VIDEOS, Part, Parts
from .video_scores import VideoScores


def score_videos(
    step: ScoreStep,
    dataset: VideoDataset,
    split: str,
    views: ViewsConfig,
    batch: int,
    parts: Parts | None = None,
) -> VideoScores:
    """Score every video of a split, resuming after stored parts.

    Args:
        step: from `Classifier.score_step`.
        dataset: of the videos.
        split: "validation" or "test".
        views: clips and crops of each video.
        batch: views per step.
        parts: storage of partial scores; None keeps them in memory.

    Raises:
        UserError: the videos have no labels.
    """
    listed, places = dataset.listed_videos(split)
    _check_labels(listed, dataset, split)
    scored_parts = [] if parts is None else parts.read()
    first = sum(len(part.ok) for part in scored_parts)
    if first:
        print(f"Resuming after {first} of {len(places)} videos.")
    videos = iter(dataset.view_batches(split, views, first))
    progress = Progress(len(places), "videos", start=first)
    while first < len(places):
        count = min(PART_VIDEOS, len(places) - first)
        numbers = range(first, first + count)
        part = score_part(
            step, videos, numbers, batch, len(dataset.classes), progress
        )
        why = _reasons(dataset)
        rows = [listed[places[number]].path for number in numbers]
        reasons = np.array([why.get(path, "") for path in rows], dtype=str)
        part = dataclasses.replace(part, reasons=reasons)
        if parts is not None:
            parts.write(len(scored_parts), part)
        scored_parts.append(part)
        first += count
    return merge_parts(scored_parts, dataset, split, views)


def score_part(
    step: ScoreStep,
    videos: Iterator,
    numbers: range,
    batch: int,
    classes: int,
    progress: Progress | None = None,
) -> Part:
    """Score the next videos of an iterator from `view_batches`.

    Views of one size share a batch across videos, so that single-clip
    evaluation is fast. Batches do not cross parts, so that resumed scores are
    equal to uninterrupted ones.
    """
    batcher = ViewBatcher(step, batch)
    ok = np.zeros(len(numbers), bool)
    start = time.monotonic()
    for row, number in enumerate(numbers):
        pixels, _, weight, index = next(videos)
        if int(index) != number:
            raise RuntimeError(f"Expected video {number}, not {int(index)}.")
        count = len(pixels)
        ok[row] = bool(weight)
        if ok[row]:
            batcher.add(pixels.numpy())
        if progress is not None:
            progress.update(number + 1)
    scores = batcher.finish()
    reading = time.monotonic() - start - batcher.seconds
    rows = np.zeros((len(ok), count, classes), np.float32)
    rows[ok] = scores.reshape(-1, count, classes)
    empty = np.full(len(ok), "", dtype=str)
    return Part(rows, ok, empty, np.array([reading, batcher.seconds]))


class ViewBatcher:
    """Collect views into batches and score these.

    Args:
        step: function from views to scores.
        batch: number of views per batch.

    Attributes:
        seconds: time spent in steps.
    """

    def __init__(self, step: ScoreStep, batch: int):
        self._step = step
        self._batch = batch
        self._views: collections.deque[np.ndarray] = collections.deque()
        self._count = 0
        self._scores: list[np.ndarray] = []
        self.seconds = 0.0

    def add(self, views: np.ndarray) -> None:
        """Add views of a video, uint8 `(n, time, height, width, 3)`."""
        if self._views and self._views[0].shape[1:] != views.shape[1:]:
            self._run(self._count)
        self._views.append(views)
        self._count += len(views)
        while self._count >= self._batch:
            self._run(self._batch)

    def finish(self) -> np.ndarray:
        """Return the scores of all views in order, `(views, classes)`."""
        if self._count:
            self._run(self._count)
        return np.concatenate(self._scores) if self._scores else np.zeros(0)

    def _run(self, count: int) -> None:
        start = time.monotonic()
        pieces = []
        remaining = count
        while remaining:
            views = self._views.popleft()
            pieces.append(views[:remaining])
            if len(views) > remaining:
                self._views.appendleft(views[remaining:])
            remaining -= len(pieces[-1])
        pixels = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        self._scores.append(self._step(pixels))
        self._count -= count
        self.seconds += time.monotonic() - start


def merge_parts(
    parts: Sequence[Part], dataset: VideoDataset, split: str, views: ViewsConfig
) -> VideoScores:
    """Concatenate parts, with rows for videos known to be bad before."""
    listed, places = dataset.listed_videos(split)
    scores = np.zeros((len(listed), *parts[0].scores.shape[1:]), np.float32)
    ok = np.zeros(len(listed), bool)
    why = _reasons(dataset)
    reasons = [why.get(video.path, "") for video in listed]
    seconds = np.zeros(2)
    first = 0
    for part in parts:
        rows = places[first : first + len(part.ok)]
        scores[rows] = part.scores
        ok[rows] = part.ok
        for row, reason in zip(rows, part.reasons, strict=True):
            reasons[row] = str(reason)
        seconds += part.seconds
        first += len(rows)
    return VideoScores(
        scores=scores,
        labels=_labels(listed, dataset),
        ok=ok,
        paths=np.array([video.path for video in listed], dtype=str),
        reasons=np.array(reasons, dtype=str),
        classes=np.array(dataset.classes, dtype=str),
        split=split,
        views=describe_views(views),
        pool=views.pool,
        reading_seconds=float(seconds[0]),
        computing_seconds=float(seconds[1]),
        versions=versions(),
        skips_unlabelled=dataset.skips_unlabelled,
    )


def score_examples(
    step: ScoreStep, dataset: Dataset, split: str
) -> VideoScores:
    """Score the examples of a synthetic data set, one view each."""
    scores, labels, begin = [], [], time.monotonic()
    computing, count = 0.0, 0
    progress = Progress(dataset.examples(split), "examples")
    for pixels, label in dataset.eval_batches(split):
        pixels, start = pixels.numpy(), time.monotonic()
        scores.append(step(pixels))
        labels.append(label.numpy())
        computing += time.monotonic() - start
        count += len(pixels)
        progress.update(count)
    return VideoScores(
        scores=np.concatenate(scores)[:, None],  # one view each
        labels=np.concatenate(labels).astype(np.int64),
        ok=np.ones(count, bool),
        paths=np.array([f"example {i}" for i in range(count)], dtype=str),
        reasons=np.full(count, "", dtype=str),
        classes=np.array(dataset.classes, dtype=str),
        split=split,
        views="the synthetic clip",
        pool="mean",
        reading_seconds=time.monotonic() - begin - computing,
        computing_seconds=computing,
        versions=versions(),
    )


def describe_views(views: ViewsConfig) -> str:
    """Describe the views of each video in one line."""
    clips = tables.number_of(views.clips, "clip")
    crops = {0: "whole frames", 1: "1 crop", 3: "3 crops"}[views.crops]
    size = f" of {views.crop_px} px" if views.crops else ""
    return (
        f"{clips} x {crops}{size}, short side {views.short_side_px} px, "
        f"starts: {views.starts}"
    )


def _labels(listed: Sequence[Video], dataset: VideoDataset) -> np.ndarray:
    if not dataset.multi_label:
        return np.array([video.labels[0] for video in listed], np.int64)
    hot = np.zeros((len(listed), len(dataset.classes)), np.uint8)
    for row, video in zip(hot, listed, strict=True):
        row[list(video.labels)] = 1
    return hot


def _check_labels(listed, dataset, split) -> None:
    if not dataset.multi_label and not all(v.labels for v in listed):
        raise UserError(
            f"Expected a label for each video to score. Received: a list for "
            f"{split} without labels."
        )


def _reasons(dataset: VideoDataset) -> dict[str, str]:
    """Map paths of bad videos to their errors."""
    return {bad.path: bad.reason for bad in dataset.bad}
