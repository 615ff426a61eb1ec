"""Data sets of labelled videos.

All videos are probed before training, so that unreadable ones are reported and
random draws are made among readable ones only. The clip, scale and crop of a
training example are functions of (seed, epoch, video), and its position in the
epoch is a function of (seed, epoch). So no shuffle buffer is needed, and
training can start at any step.
"""

import abc
import collections
import concurrent.futures
import functools
import hashlib
import os
import threading
from typing import ClassVar

import numpy as np
import tensorflow as tf

from ..io import paths, tensorflow_plugins
from ..io.progress import Progress
from ..io.user_error import UserError
from . import (
    data_files,
    file_names,
    listing_notes,
    pipeline,
    storage,
    transforms,
)
from . import sampling as samples
from .data_config import DataConfig
from .data_files import DataFile
from .datasets import BadVideo, Dataset, Example, check_split
from .listing import Listing, Video
from .part import Part
from .sampling_config import SamplingConfig, ViewsConfig
from .scan import abbreviated, check_share, probe_all
from .sources import Probe, VideoError

EVAL_BATCH = 8
# `read_all_frames` reads this many frames at a time, at this size.
ALL_FRAMES = 64
ALL_SHORT_SIDE_PX = 32
INSTEAD = {"validation": "test", "test": "validation"}


class VideoDataset(Dataset):
    """Base class of video data sets, which implement `read_lists`.

    Args:
        data: location of the data set.
        sampling: clips to take of each video.
        listing: videos to use instead of the lists of `data`, for evaluation
            only.

    Attributes:
        source: storage of the videos, a key of `storage.SOURCES`.
        multi_label: as in `Dataset`.
        bad: unreadable videos so far.
    """

    source: ClassVar[str] = "videos"

    def __init__(
        self,
        data: DataConfig,
        sampling: SamplingConfig,
        listing: Listing | None = None,
    ):
        self._sampling = sampling
        self._middle = samples.middle(sampling)
        _check(sampling, self._middle)
        # Ops of TensorFlow read frames and records.
        is_decoded = self.source == "videos"
        check = paths.as_path if is_decoded else tensorflow_plugins.require
        for path in (data.root, data.train, data.validation, data.test):
            check(path or "")
        self._trains = listing is None
        self._listing = listing = listing or self.read_lists(data)
        self.classes = listing.classes
        self.multi_label = listing.multi_label
        self.skips_unlabelled = listing.skips_unlabelled
        side = sampling.crop_px
        self.element_shape = (sampling.frames, side, side, 3)
        self._root = data.root
        self._service = data.service
        if not 0 <= data.max_bad_share <= 1:
            raise UserError(
                "Expected data.max_bad_share from 0 to 1. "
                f"Received: {data.max_bad_share}"
            )
        self._max_bad_share = data.max_bad_share
        self._source = storage.SOURCES[self.source](data)
        if self._service and not self._source.tf_ops:
            raise UserError(
                "A tf.data service cannot decode video files. Make shards of "
                "them first: nonlocal-tf shards. "
                f"Received: data.service={self._service!r}"
            )
        self._bad: dict[tuple, BadVideo] = {}
        self._lock = threading.Lock()
        self.listed = {name: len(v) for name, v in listing.splits.items()}
        self._splits = self._scan(listing)
        self.eval_examples = len(self._part("test"))

    @classmethod
    def load(cls, data, sampling):
        return _loaded(cls, data or DataConfig(), sampling or SamplingConfig())

    @staticmethod
    @abc.abstractmethod
    def read_lists(data: DataConfig) -> Listing:
        """Read the lists of the data set.

        Raises:
            UserError: a list is missing or not in its format.
        """

    def train_batches(
        self, batch, seed, start_step, steps, worker=0, workers=1
    ):
        part = self._splits["train"]
        share = batch // workers

        def example(number):
            step, position = number // share, number % share
            number = step * batch + worker * share + position
            return pipeline.random_example(
                part, self._sampling, self._reader(part), seed, number
            )

        batches = pipeline.examples(
            start_step * share, steps * share, example
        ).batch(share, drop_remainder=True)
        if self._service:
            batches = batches.apply(
                tf.data.experimental.service.distribute(
                    tf.data.experimental.service.ShardingPolicy.DYNAMIC,
                    self._service,
                )
            ).apply(tf.data.experimental.assert_cardinality(steps - start_step))
        return batches

    def eval_batches(self, split):
        check_split(split)
        part = self._part(split)

        def example(index):
            pixels, weight = self._views(part, self._middle, index)
            return pixels[0], part.label(index), weight

        return pipeline.examples(0, len(part), example).batch(EVAL_BATCH)

    def view_batches(
        self, split: str, views: ViewsConfig, first: int = 0
    ) -> tf.data.Dataset:
        """Return the views of each video of an evaluation split.

        Args:
            split: "validation" or "test".
            views: clips and crops of each video.
            first: index of the first video.

        Returns:
            Unbatched (pixels, label, weight, index) in the order of the list:
            uint8 `(clips * crops, time, height, width, 3)`, ordered by clip,
            then crop; the label; 0.0 if the video cannot be read, else 1.0;
            the index of the video in the split.

        Raises:
            UserError: the views are invalid.
        """
        check_split(split)
        _check(self._sampling, views)
        part = self._part(split)

        def example(index):
            pixels, weight = self._views(part, views, index)
            return pixels, part.label(index), weight, index

        parallel = samples.views_at_once(self._sampling, views)
        return pipeline.examples(first, len(part), example, parallel)

    def example(self, split, index):
        check_split(split)
        part = self._part(split)
        if not 0 <= index < len(part):
            raise UserError(
                f"Expected a sample from 0 to {len(part) - 1}. "
                f"Received: {index}"
            )
        pixels = self._middle_of(part, index)
        labels = part.videos[index].labels
        return Example(pixels, labels[0] if labels else -1)

    def middle(self, split: str, index: int) -> np.ndarray:
        """Return the middle clip of a readable video of any split.

        Raises:
            UserError: it cannot be read.
        """
        return self._middle_of(self._splits[split], index)

    def _middle_of(self, part, index):
        ((pixels, weight),) = pipeline.examples(
            index, index + 1, lambda i: self._views(part, self._middle, i)
        )
        if not weight:
            bad = self._bad[part.name, "read", index]
            raise UserError(f"{bad.path}: {bad.reason}")
        return pixels[0].numpy()

    def videos(self, split: str) -> list[Video]:
        """Return the readable videos of a split, in the order of examples."""
        return self._part(split).videos

    def listed_videos(self, split: str) -> tuple[list[Video], list[int]]:
        """Return all listed videos of a split, and indices of readable ones."""
        name = self._part(split).name
        with self._lock:
            bad = {k[2] for k in self._bad if k[:2] == (name, "listed")}
        videos = self._listing.splits[name]
        return videos, [i for i in range(len(videos)) if i not in bad]

    @property
    def bad(self):
        with self._lock:
            return list(self._bad.values())

    def examples(self, split):
        """Number of readable examples of an evaluation split."""
        part = self._part(split)
        with self._lock:
            late = [k for k in self._bad if k[:2] == (part.name, "read")]
        return len(part) - len(late)

    def overview(self):
        videos = ", ".join(
            f"{name} {listed - bad}" + f" ({bad} bad)" * bool(bad)
            for name, (listed, bad) in self.counts().items()
        )
        missing = [part.missing_classes() for part in self._splits.values()]
        first = f"{len(self.classes)} classes; videos: {videos}."
        return "\n".join([first, *filter(None, missing)]) + "\n"

    def notes(self):
        return listing_notes.notes(self._listing)

    def fingerprint(self):
        """Return a digest of classes, videos, labels and lengths."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for name, pairs in sorted(self.probes().items()):
            for video, probe in pairs:
                path = data_files.relative(video.path, self._root)
                row = name, path, video.labels, video.spans, video.offset
                digest.update(repr((*row, probe)).encode())
        return digest.hexdigest()

    def files_of(self, split: str) -> list[DataFile]:
        """List the readable videos of a split, with labels and lengths."""
        pairs = self.probes().get(split, [])
        return data_files.rows(pairs, self.classes, self._root)

    def training_files(self):
        return self.files_of("train")

    def held_out(self):
        return {
            split: self.files_of(split)
            for split in self.probes()
            if split != "train"
        }

    def check_trainable(self):
        if self.multi_label:  # a video may have none of the classes
            for split in ("train", "validation", "test"):
                if not any(v.labels for v in self._part(split).videos):
                    raise UserError(
                        "Expected a video with a class. Received: a list for "
                        f"{self._part(split).name} without any."
                    )
            return
        for split in ("train", "validation", "test"):
            if any(not v.labels for v in self._part(split).videos):
                raise UserError(
                    f"Expected a label for each video. Received: a list for "
                    f"{self._part(split).name} without labels."
                )

    def check_bad(self, bad=None):
        bad = self.bad if bad is None else bad
        check_share(bad, sum(self.listed.values()), self._max_bad_share)

    def probes(self) -> dict[str, list[tuple[Video, Probe]]]:
        """Return the readable videos of each split with their probes."""
        return {name: part.pairs for name, part in self._splits.items()}

    def good(self, split: str) -> list[int]:
        """Return indices of the videos that no read has failed for yet."""
        with self._lock:
            return [
                index
                for index in range(len(self._splits[split]))
                if (split, "read", index) not in self._bad
            ]

    def read_all_frames(self) -> None:
        """Read every frame, so that `bad` is complete.

        Video files have been decoded in full to index them; frames that are
        stored separately are read here.
        """
        if not self._source.tf_ops:
            return
        read = storage.evaluated(
            tf.function(self._source.read, reduce_retracing=True)
        )

        def check(name, index, video, probe):
            window, size_px = transforms.whole_window(
                probe.height, probe.width, ALL_SHORT_SIDE_PX
            )
            fields = self._source.fields(video)
            try:
                for first in range(0, probe.frames, ALL_FRAMES):
                    # Always as many, so that the function is traced once.
                    numbers = np.arange(first, first + ALL_FRAMES)
                    numbers = np.minimum(numbers, probe.frames - 1)
                    read(fields, numbers, window[None], size_px)
            except (VideoError, tf.errors.OpError) as error:
                self._leave_out((name, "read", index), video.path, error)

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for name, pairs in self.probes().items():
                progress = Progress(len(pairs), f"videos of {name} read")
                checks = pool.map(
                    lambda i, n=name, p=pairs: check(n, i, *p[i]),
                    range(len(pairs)),
                )
                for count, _ in enumerate(checks, start=1):
                    progress.at(count)

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return (listed videos, bad videos) of each split."""
        bad = collections.Counter(b.split for b in self.bad)
        return {name: (n, bad[name]) for name, n in self.listed.items()}

    def _part(self, split: str) -> Part:
        """Return a split; validation and test replace each other."""
        if split in self._splits:
            return self._splits[split]
        return self._splits[INSTEAD[split]]

    def _views(self, part, views, index):
        return pipeline.views_of(
            part, self._sampling, self._reader(part), views, index
        )

    def _reader(self, part):
        return functools.partial(self._read, part)

    def _read(self, part, row, frames, windows, size_px):
        """Read pixels with weight 1.0; zeros with 0.0 for a bad video."""
        names = part.field_names
        if self._service:
            fields = {name: row[name] for name in names}
            return self._source.read(fields, frames, windows, size_px), 1.0
        read = self._source.read
        if self._source.tf_ops:
            read = storage.evaluated(tf.function(read, reduce_retracing=True))

        def guarded(index, frames, windows, size_px, *values):
            fields = dict(zip(names, values, strict=True))
            try:
                pixels = read(fields, frames, windows, size_px)
                return pixels, np.float32(1)
            except (VideoError, tf.errors.OpError) as error:
                video = part.videos[int(index)]
                key = part.name, "read", int(index)
                self._leave_out(key, video.path, error)
                shape = (len(windows), len(frames), *size_px, 3)
                return np.zeros(shape, np.uint8), np.float32(0)

        values = [row[name] for name in names]
        pixels, weight = tf.numpy_function(
            guarded,
            [row["index"], frames, windows, size_px, *values],
            (tf.uint8, tf.float32),
        )
        return pixels, tf.ensure_shape(weight, ())

    def _leave_out(self, key: tuple, path: str, error: Exception) -> None:
        """Record a bad video.

        Args:
            key: (split, "listed" or "read", index).
            path: path of the video.
            error: the reason.
        """
        reason = str(getattr(error, "message", "") or error)
        with self._lock:
            self._bad[key] = BadVideo(
                key[0],
                file_names.printable(path),
                " ".join(reason.split()),
            )

    def _scan(self, listing: Listing) -> dict[str, Part]:
        """Probe all videos and return the readable ones by split."""
        distinct = list(
            dict.fromkeys(v for split in listing.splits.values() for v in split)
        )
        probes = probe_all(self._source, distinct)
        probe_of = dict(zip(distinct, probes, strict=True))
        good: dict[str, list[tuple[Video, Probe]]] = {}
        for name, videos in listing.splits.items():
            good[name] = []
            for number, video in enumerate(videos):
                probe = probe_of[video]
                if isinstance(probe, Probe):
                    good[name].append((video, probe))
                else:
                    key = name, "listed", number
                    self._leave_out(key, video.path, probe)
        self.check_bad()
        if not (self._trains or any(good.values())):
            raise UserError(
                f"None of the {sum(map(len, listing.splits.values()))} videos "
                f"can be read.{abbreviated(self.bad)}"
            )
        if self._trains and not good.get("train"):
            raise UserError(
                f"The data set has no video to train on.{abbreviated(self.bad)}"
            )
        if self._trains and not (good.get("validation") or good.get("test")):
            raise UserError(
                "The data set has no validation or test video. Give "
                "data.validation or data.test for a data set with lists; in "
                "class folders, one class needs at least two videos."
                f"{abbreviated(self.bad)}"
            )
        return {
            name: Part(name, pairs, self._source, listing)
            for name, pairs in good.items()
            if pairs
        }


@functools.lru_cache(maxsize=4)
def _loaded(cls, data, sampling):
    """Load once per process, because probing many videos takes long."""
    return cls(data, sampling)


def _check(sampling: SamplingConfig, views: ViewsConfig) -> None:
    try:
        samples.check(sampling, views)
    except ValueError as error:
        raise UserError(str(error)) from error
