"""Runs a network over views of videos and keeps its scores.

Which videos there are, and in which order, the list of the data set decides;
batches and devices do not. Each of its videos has one row of scores.
"""

import collections
import dataclasses
import hashlib
import inspect
import time
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from nonlocal_tf import models, preprocess
from training import run_folder, run_model
from training.data import Dataset
from training.data.listing import Video
from training.data.videos import VideoDataset
from training.errors import UserError
from training.recipe import Recipe, ViewsConfig
from training.score_parts import PART_VIDEOS, Part, Parts
from training.video_scores import VideoScores

Step = Callable[[np.ndarray], np.ndarray]


def build_network(
    trained: keras.Model,
    recipe: Recipe,
    dataset: VideoDataset,
    views: ViewsConfig,
) -> keras.Model:
    """The network of a test, with the weights of the trained one.

    Frames may be larger than in training. Then the authors' networks, as
    SlowFast's, average over windows of the training's size, and have a score
    at each position; with mmaction2's `starts` they average over everything, as
    there, and so do networks without such a head.

    Args:
        trained: the network of the recipe.
        recipe: of the run.
        dataset: of the recipe.
        views: what it will look at.

    Returns:
        A model to logits, `(batch, classes)` or `(batch, t, h, w, classes)`.

    Raises:
        UserError: the views are smaller than the windows.
    """
    frames = dataset.element_shape[0]
    side = views.crop_px if views.crops else None
    shape = (frames, side, side, 3)
    arguments: dict = {"clip_shape": shape, "outputs": "logits"}
    if not has_windows(recipe):
        del arguments["outputs"]
    elif views.starts != "mmaction2":
        train_px = dataset.element_shape[1]
        short = views.crop_px if views.crops else views.short_side_px
        if short < train_px:
            raise UserError(
                f"This network is trained on {train_px} x {train_px} pixels. "
                f"Expected views no smaller. Received: {short}"
            )
        arguments |= {"head": "fully_convolutional", "crop_px": train_px}
    model = run_model.build_model(recipe, dataset, **arguments)
    copy_weights(trained, model)
    return model


def has_windows(recipe: Recipe) -> bool:
    """Whether the recipe's network has a fully convolutional head."""
    builder = models.registry.MODELS[recipe.model.name]
    return "crop_px" in inspect.signature(builder).parameters


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Gives a network the weights of another, layer by layer, by name."""
    given = {layer.name: layer for layer in source.layers if layer.weights}
    taking = {layer.name: layer for layer in target.layers if layer.weights}
    if given.keys() != taking.keys():
        raise ValueError(
            "Expected networks whose layers have the same names. Received: "
            f"{sorted(given.keys() ^ taking.keys())} in one alone"
        )
    for name, layer in taking.items():
        layer.set_weights(given[name].get_weights())


def digest(model: keras.Model) -> str:
    """Names the weights of a model."""
    total = hashlib.sha256()
    for weight in model.weights:
        array = np.asarray(keras.ops.convert_to_numpy(weight))
        total.update(f"{array.shape} {array.dtype}".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def devices() -> tf.distribute.Strategy:
    """All GPUs there are, if there are several; else what is in use."""
    several = len(tf.config.list_logical_devices("GPU")) > 1
    if several and not tf.distribute.has_strategy():
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def step_of(
    model: keras.Model,
    multi_label: bool,
    strategy: tf.distribute.Strategy | None = None,
) -> Step:
    """A function of uint8 views to their scores, float32 `(n, classes)`.

    At each position that the logits have, the probabilities are computed, by a
    softmax or, for several labels a video, sigmoids; then they are averaged.

    Args:
        model: to logits.
        multi_label: whether a video may have several labels.
        strategy: in whose scope the model was made; its devices share views.
    """
    shape = (None, *model.input_shape[1:])
    activation = tf.sigmoid if multi_label else tf.nn.softmax

    def step(pixels):
        logits = model(preprocess.normalize(pixels), training=False)
        each = activation(tf.cast(logits, tf.float32))
        return tf.reduce_mean(each, axis=list(range(1, len(each.shape) - 1)))

    if strategy is not None and strategy.num_replicas_in_sync > 1:
        return _shared(step, strategy)
    # One trace for all sizes; "auto" would compile with XLA on a GPU.
    compiled = tf.function(
        step,
        input_signature=[tf.TensorSpec(shape, tf.uint8)],
        autograph=False,
        jit_compile=False,
    )
    return lambda pixels: compiled(pixels).numpy()


def _shared(step: Callable, strategy: tf.distribute.Strategy) -> Step:
    """A step in which each device takes a part of the views."""
    count = strategy.num_replicas_in_sync
    run = tf.function(
        lambda views: strategy.run(step, (views,)),
        autograph=False,
        jit_compile=False,
        reduce_retracing=True,
    )

    def of(pixels):
        # Parts are of one size: some views may be computed twice.
        rows = np.arange(len(pixels) + -len(pixels) % count) % len(pixels)
        parts = np.split(rows, count)
        views = strategy.experimental_distribute_values_from_function(
            lambda on: tf.constant(pixels[parts[on.replica_id_in_sync_group]])
        )
        scores = strategy.experimental_local_results(run(views))
        return np.concatenate([s.numpy() for s in scores])[: len(pixels)]

    return of


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
        step: from `step_of`.
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
    while first < len(places):
        count = min(PART_VIDEOS, len(places) - first)
        numbers = range(first, first + count)
        part = score_part(step, videos, numbers, batch, len(dataset.classes))
        why = _reasons(dataset)
        rows = [listed[places[number]].path for number in numbers]
        reasons = np.array([why.get(path, "") for path in rows], dtype=str)
        part = dataclasses.replace(part, reasons=reasons)
        parts.write(len(done), part)
        done.append(part)
        first += count
        if len(places) > PART_VIDEOS:
            print(f"{first} of {len(places)} videos", flush=True)
    return merged(done, dataset, split, views)


def score_part(
    step: Step, videos: Iterator, numbers: range, batch: int, classes: int
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
        chance=None if dataset.multi_label else dataset.guessing(split),
        reading_seconds=float(seconds[0]),
        computing_seconds=float(seconds[1]),
        versions=run_folder.versions(),
    )


def score_examples(step: Step, dataset: Dataset, split: str) -> VideoScores:
    """Scores the examples of a data set that is made, not read."""
    scores, labels, began = [], [], time.monotonic()
    computing = 0.0
    for pixels, label in dataset.eval_batches(split):
        pixels, start = pixels.numpy(), time.monotonic()
        scores.append(step(pixels))
        labels.append(label.numpy())
        computing += time.monotonic() - start
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
        chance=dataset.guessing(split),
        reading_seconds=time.monotonic() - began - computing,
        computing_seconds=computing,
        versions=run_folder.versions(),
    )


def in_words(views: ViewsConfig) -> str:
    """What is looked at of each video."""
    clips = "1 clip" if views.clips == 1 else f"{views.clips} clips"
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
