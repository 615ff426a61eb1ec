"""Runs a network over views of videos and keeps its scores.

Which videos there are, and in which order, the list of the data set decides;
batches and devices do not. Each of its videos has one row of scores.
"""

import collections
import dataclasses
import time
from collections.abc import Iterator, Sequence

import numpy as np

from ..data import Dataset
from ..data.listing import Video
from ..data.videos import VideoDataset
from ..io import tables
from ..io.progress import Progress
from ..io.user_error import UserError
from ..recipes.schema import ViewsConfig
from ..runs import run_folder
from .score_parts import PART_VIDEOS, Part, Parts
from .video_scores import VideoScores
from .view_network import Step


def score_videos(
    step: Step,
    dataset: VideoDataset,
    split: str,
    views: ViewsConfig,
    batch: int,
    parts: Parts,
) -> VideoScores:
    """Scores every listed video of a split; goes on where parts are there.

    Args:
        step: from `view_network.step_of`.
        dataset: of the videos.
        split: "validation" or "test".
        views: what is looked at of each.
        batch: views a step.
        parts: where the scores are kept.

    Raises:
        UserError: the videos have no labels.
    """
    listed, places = dataset.listed_videos(split)
    _check_labels(listed, dataset, split)
    done = parts.read()
    first = sum(len(part.ok) for part in done)
    if first:
        print(f"Going on after {first} of {len(places)} videos.")
    videos = iter(dataset.view_batches(split, views, first))
    shown = Progress(len(places), "videos", start=first)
    while first < len(places):
        count = min(PART_VIDEOS, len(places) - first)
        numbers = range(first, first + count)
        part = score_part(
            step, videos, numbers, batch, len(dataset.classes), shown
        )
        why = _reasons(dataset)
        rows = [listed[places[number]].path for number in numbers]
        reasons = np.array([why.get(path, "") for path in rows], dtype=str)
        part = dataclasses.replace(part, reasons=reasons)
        parts.write(len(done), part)
        done.append(part)
        first += count
    return merged(done, dataset, split, views)


def score_part(
    step: Step,
    videos: Iterator,
    numbers: range,
    batch: int,
    classes: int,
    shown: Progress | None = None,
) -> Part:
    """Scores the next videos of an iterator of `view_batches`.

    Views of several videos share a step where they are of one size, so that
    one clip a video is not slow. A part ends with a smaller step, so that its
    scores are the same whether or not the parts before it were there already.
    """
    waiting = Waiting(step, batch)
    ok = np.zeros(len(numbers), bool)
    began = time.monotonic()
    for row, number in enumerate(numbers):
        pixels, _, weight, index = next(videos)
        if int(index) != number:
            raise RuntimeError(f"Expected video {number}, not {int(index)}.")
        count = len(pixels)
        ok[row] = bool(weight)
        if ok[row]:
            waiting.add(pixels.numpy())
        if shown is not None:
            shown.at(number + 1)
    scores = waiting.end()
    reading = time.monotonic() - began - waiting.seconds
    rows = np.zeros((len(ok), count, classes), np.float32)
    rows[ok] = scores.reshape(-1, count, classes)
    empty = np.full(len(ok), "", dtype=str)
    return Part(rows, ok, empty, np.array([reading, waiting.seconds]))


class Waiting:
    """Views that wait until there are enough of them for a step.

    Args:
        step: what is done with them.
        batch: how many it takes.

    Attributes:
        seconds: spent in steps.
    """

    def __init__(self, step: Step, batch: int):
        self._step = step
        self._batch = batch
        self._views: collections.deque[np.ndarray] = collections.deque()
        self._count = 0
        self._scores: list[np.ndarray] = []
        self.seconds = 0.0

    def add(self, views: np.ndarray) -> None:
        """Takes views of a video, uint8 `(n, time, height, width, 3)`."""
        if self._views and self._views[0].shape[1:] != views.shape[1:]:
            self._run(self._count)
        self._views.append(views)
        self._count += len(views)
        while self._count >= self._batch:
            self._run(self._batch)

    def end(self) -> np.ndarray:
        """Scores of all views in order, `(views, classes)`; `()` of none."""
        if self._count:
            self._run(self._count)
        return np.concatenate(self._scores) if self._scores else np.zeros(0)

    def _run(self, count: int) -> None:
        began = time.monotonic()
        pieces = []
        left = count
        while left:
            views = self._views.popleft()
            pieces.append(views[:left])
            if len(views) > left:
                self._views.appendleft(views[left:])
            left -= len(pieces[-1])
        pixels = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        self._scores.append(self._step(pixels))
        self._count -= count
        self.seconds += time.monotonic() - began


def merged(
    parts: Sequence[Part], dataset: VideoDataset, split: str, views: ViewsConfig
) -> VideoScores:
    """The scores of all parts, and rows for what was bad before the test."""
    listed, places = dataset.listed_videos(split)
    scores = np.zeros((len(listed), *parts[0].scores.shape[1:]), np.float32)
    ok = np.zeros(len(listed), bool)
    why = _reasons(dataset)
    reasons = [why.get(video.path, "") for video in listed]
    seconds = np.zeros(2)
    done = 0
    for part in parts:
        rows = places[done : done + len(part.ok)]
        scores[rows] = part.scores
        ok[rows] = part.ok
        for row, reason in zip(rows, part.reasons, strict=True):
            reasons[row] = str(reason)
        seconds += part.seconds
        done += len(rows)
    return VideoScores(
        scores=scores,
        labels=_labels(listed, dataset),
        ok=ok,
        paths=np.array([video.path for video in listed], dtype=str),
        reasons=np.array(reasons, dtype=str),
        classes=np.array(dataset.classes, dtype=str),
        split=split,
        views=in_words(views),
        pool=views.pool,
        reading_seconds=float(seconds[0]),
        computing_seconds=float(seconds[1]),
        versions=run_folder.versions(),
        skips_unlabelled=dataset.skips_unlabelled,
    )


def score_examples(step: Step, dataset: Dataset, split: str) -> VideoScores:
    """Scores the examples of a data set that is made, not read."""
    scores, labels, began = [], [], time.monotonic()
    computing, done = 0.0, 0
    shown = Progress(dataset.examples(split), "examples")
    for pixels, label in dataset.eval_batches(split):
        pixels, start = pixels.numpy(), time.monotonic()
        scores.append(step(pixels))
        labels.append(label.numpy())
        computing += time.monotonic() - start
        done += len(pixels)
        shown.at(done)
    of_all = np.concatenate(scores)[:, None]  # one view each
    count = len(of_all)
    return VideoScores(
        scores=of_all,
        labels=np.concatenate(labels).astype(np.int64),
        ok=np.ones(count, bool),
        paths=np.array([f"example {i}" for i in range(count)], dtype=str),
        reasons=np.full(count, "", dtype=str),
        classes=np.array(dataset.classes, dtype=str),
        split=split,
        views="the clip as it is made",
        pool="mean",
        reading_seconds=time.monotonic() - began - computing,
        computing_seconds=computing,
        versions=run_folder.versions(),
    )


def in_words(views: ViewsConfig) -> str:
    """What is looked at of each video."""
    clips = tables.number_of(views.clips, "clip")
    crops = {0: "whole frames", 1: "1 crop", 3: "3 crops"}[views.crops]
    of = f" of {views.crop_px} px" if views.crops else ""
    return (
        f"{clips} x {crops}{of}, short side {views.short_side_px} px, starts: "
        f"{views.starts}"
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
    """Why videos are bad, as far as is known, by their paths."""
    return {bad.path: bad.reason for bad in dataset.bad}
