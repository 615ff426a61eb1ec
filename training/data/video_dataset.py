"""Data sets of labelled videos.

All videos are probed before training, so that unreadable ones are reported and
random draws are made among readable ones only. The clip, scale and crop of a
training example are functions of (seed, epoch, video), and its position in the
epoch is a function of (seed, epoch). So no shuffle buffer is needed, and
training can start at any step.
"""

import abc
import collections
import functools
import hashlib
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf

from nonlocal_tf.choices import unknown

from ..io import paths, tensorflow_plugins
from ..io.user_error import UserError
from . import (
    bad_videos,
    data_files,
    frame_sampling,
    manifest_warnings,
    pipeline,
    split_probing,
    storage,
)
from .bad_videos import BadVideoLog
from .clip_reader import Probe
from .data_config import DataConfig, check_split
from .data_files import DataFile
from .dataset_info import LabelledExample
from .datasets import Dataset
from .manifest import Manifest, Video
from .sampling_config import SamplingConfig, ViewsConfig
from .video_limits import Limits
from .video_split import VideoSplit

EVAL_BATCH = 8
OTHER_SPLIT = {"validation": "test", "test": "validation"}


class VideoDataset(Dataset):
    """Base class of video data sets, which implement `read_lists`.

    Args:
        data: location of the data set.
        sampling: clips to take of each video.
        manifest: videos to use instead of the lists of `data`, for evaluation
            only.

    Attributes:
        storage: storage of the videos, a key of `storage.READERS`.
        multi_label: as in `Dataset`.
        bad: unreadable videos so far.
    """

    storage: ClassVar[str] = "videos"
    sampling: SamplingConfig

    def __init__(
        self,
        data: DataConfig,
        sampling: SamplingConfig,
        manifest: Manifest | None = None,
    ):
        self._data, self.sampling = data, sampling
        self.limits = Limits.of(data)
        self._centre = frame_sampling.middle(sampling)
        _check_views(sampling, self._centre)
        bad_videos.check_max_share(data.max_bad_share)
        # TensorFlow's ops read frames and records.
        is_decoded = self.storage == "videos"
        check = paths.as_path if is_decoded else tensorflow_plugins.require
        for path in (data.root, data.train, data.validation, data.test):
            check(path or "")
        self._reader = storage.READERS[self.storage](data)
        if data.service and not self._reader.tf_ops:
            raise UserError(
                "A tf.data service cannot decode video files. Make shards of "
                "them first: nonlocal-tf shards. "
                f"Received: data.service={data.service!r}"
            )
        trains = manifest is None
        self._manifest = manifest = manifest or self.read_lists(data)
        self.classes = manifest.classes
        self.multi_label = manifest.multi_label
        self.skips_unlabelled = manifest.skips_unlabelled
        side = sampling.crop_px
        self.element_shape = (sampling.frames, side, side, 3)
        self.listed = {name: len(v) for name, v in manifest.splits.items()}
        self._bad = BadVideoLog()
        pairs = split_probing.probe(manifest, self._reader, self._bad)
        self.check_bad()
        split_probing.check(pairs, self._bad.videos(), trains)
        self._splits = {
            name: VideoSplit(name, videos, self._reader, manifest)
            for name, videos in pairs.items()
            if videos
        }
        self.eval_examples = len(self._split("test"))
        self.train_examples = len(self._splits.get("train", ()))

    @classmethod
    def load(cls, data, sampling):
        return _loaded(cls, data or DataConfig(), sampling or SamplingConfig())

    @staticmethod
    @abc.abstractmethod
    def read_lists(data: DataConfig) -> Manifest:
        """Read the lists of the data set.

        Raises:
            UserError: a list is missing or not in its format.
        """

    def train_batches(
        self, batch, seed, start_step, steps, worker=0, workers=1
    ):
        self.sampling.check_batch(batch)
        share = batch // workers
        random_example = self._random_examples(self._splits["train"], seed)

        def example(number):
            step, position = number // share, number % share
            return random_example(step * batch + worker * share + position)

        numbers = tf.data.Dataset.range(start_step * share, steps * share)
        batches = pipeline.examples(numbers, example)
        batches = batches.batch(share, drop_remainder=True)
        if self._data.service:
            return pipeline.distribute(
                batches, self._data.service, steps - start_step
            )
        return batches

    def step_batches(self, steps, batch, seed):
        self.sampling.check_batch(batch)
        example, _ = self.example_function("train", seed)
        batches = pipeline.examples(
            pipeline.example_numbers(steps, batch),
            lambda number: (number // batch, example(number)),
        ).batch(batch, drop_remainder=True)
        return batches.map(lambda numbers, examples: (numbers[0], examples))

    def example_function(self, split, seed=0):
        if self._data.service:
            raise UserError(
                "A tf.data service reads the batches of `nonlocal-tf train` "
                f"only. Received: service={self._data.service!r}"
            )
        videos = self._split(split)
        if split == "train":
            example, count = self._random_examples(videos, seed), len(videos)
            attempts = count * self.sampling.repeats
        else:
            example, count = self._readable_examples(videos)
            attempts = count

        no_label = tf.zeros_like(videos.label(0))

        def readable(number):
            return pipeline.readable_example(
                example,
                number,
                attempts,
                self.element_shape,
                no_label,
                videos.name,
            )

        return readable, count

    def _random_examples(self, videos: VideoSplit, seed: int) -> Callable:
        """Return a function of an example's number to clip, label, weight."""
        if self._data.service:
            read = pipeline.service_read_function(videos, self._reader)
        else:
            read = pipeline.read_function(videos, self._reader, self._bad)
        return functools.partial(
            pipeline.random_example, videos, self.sampling, read, seed
        )

    def _readable_examples(self, videos: VideoSplit) -> tuple[Callable, int]:
        """Return a function of the position among readable videos, and count.

        The function returns the centre clip, label and weight.
        """
        views = self._views(videos, self._centre)
        indices = tf.constant(self.readable(videos.name), tf.int64)

        def example(number):
            index = indices[number % len(indices)]
            pixels, weight = views(index)
            return pixels[0], videos.label(index), weight

        return example, len(indices)

    def eval_batches(self, split):
        check_split(split)
        videos = self._split(split)
        views = self._views(videos, self._centre)

        def example(index):
            pixels, weight = views(index)
            return pixels[0], videos.label(index), weight

        numbers = tf.data.Dataset.range(len(videos))
        return pipeline.examples(numbers, example).batch(EVAL_BATCH)

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
        _check_views(self.sampling, views)
        videos = self._split(split)
        read_views = self._views(videos, views)

        def example(index):
            pixels, weight = read_views(index)
            return pixels, videos.label(index), weight, index

        parallel = frame_sampling.views_at_once(self.sampling, views)
        numbers = tf.data.Dataset.range(first, len(videos))
        return pipeline.examples(numbers, example, parallel)

    def example(self, split, index):
        check_split(split)
        videos = self._split(split)
        if not 0 <= index < len(videos):
            raise UserError(
                f"Expected a sample from 0 to {len(videos) - 1}. "
                f"Received: {index}"
            )
        labels = videos.videos[index].labels
        pixels = self.centre_clip(videos.name, index)
        return LabelledExample(pixels, labels[0] if labels else -1)

    def centre_clip(self, split: str, index: int) -> np.ndarray:
        """Return the centre clip of a readable video of any split.

        Raises:
            UserError: it cannot be read.
        """
        views = self._views(self._splits[split], self._centre)
        number = tf.data.Dataset.range(index, index + 1)
        ((pixels, weight),) = pipeline.examples(number, views)
        if not weight:
            bad = self._bad.get(split, "read", index)
            raise UserError(f"{bad.path}: {bad.reason}")
        return pixels[0].numpy()

    def videos(self, split: str) -> list[Video]:
        """Return the readable videos of a split, in the order of examples."""
        return self._split(split).videos

    def listed_videos(self, split: str) -> tuple[list[Video], list[int]]:
        """Return all listed videos of a split, and indices of readable ones."""
        name = self._split(split).name
        bad = self._bad.indices(name, "listed")
        videos = self._manifest.splits[name]
        return videos, [i for i in range(len(videos)) if i not in bad]

    @property
    def bad(self):
        return self._bad.videos()

    @property
    def splits(self):
        return {name: len(self.readable(name)) for name in self._splits}

    def examples(self, split):
        return len(self.readable(self._split(split).name))

    def overview(self):
        videos = ", ".join(
            f"{name} {listed - bad}" + f" ({bad} bad)" * bool(bad)
            for name, (listed, bad) in self.counts().items()
        )
        missing = [v.missing_classes() for v in self._splits.values()]
        first = f"{len(self.classes)} classes; videos: {videos}."
        return "\n".join([first, *filter(None, missing)]) + "\n"

    def notes(self):
        return manifest_warnings.notes(self._manifest)

    def fingerprint(self):
        """Return a digest of classes, videos, labels and lengths."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for name, pairs in sorted(self.probes().items()):
            for video, probe in pairs:
                path = data_files.relative(video.path, self._data.root)
                row = name, path, video.labels, video.spans, video.offset
                digest.update(repr((*row, probe)).encode())
        return digest.hexdigest()

    def files_of(self, split: str) -> list[DataFile]:
        """List the readable videos of a split, with labels and lengths."""
        pairs = self.probes().get(split, [])
        return data_files.rows(pairs, self.classes, self._data.root)

    def training_files(self):
        return self.files_of("train")

    def held_out(self):
        return {
            split: self.files_of(split)
            for split in self.probes()
            if split != "train"
        }

    def class_counts(self):
        return self._split("train").class_counts().tolist()

    def check_labels(self, split):
        videos = self._split(split)
        videos.check_labels()
        if split == "train":
            videos.check_training(self.sampling)

    def check_bad(self):
        bad_videos.check_share(
            self.bad, sum(self.listed.values()), self._data.max_bad_share
        )

    def probes(self) -> dict[str, list[tuple[Video, Probe]]]:
        """Return the readable videos of each split with their probes."""
        return {name: videos.pairs for name, videos in self._splits.items()}

    def readable(self, split: str) -> list[int]:
        """Return indices of the videos that no read has failed for yet."""
        bad = self._bad.indices(split, "read")
        return [i for i in range(len(self._splits[split])) if i not in bad]

    def read_all_frames(self) -> None:
        """Read every frame, so that `bad` is complete.

        Video files have been decoded in full to index them; frames that are
        stored separately are read here.
        """
        if self._reader.tf_ops:
            for videos in self._splits.values():
                bad_videos.read_all_frames(self._reader, videos, self._bad)

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return (listed videos, bad videos) of each split."""
        bad = collections.Counter(b.split for b in self.bad)
        return {name: (n, bad[name]) for name, n in self.listed.items()}

    def _split(self, split: str) -> VideoSplit:
        """Return a split; validation and test replace each other."""
        if split in self._splits:
            return self._splits[split]
        other = OTHER_SPLIT.get(split)
        if other not in self._splits:
            raise UserError(
                unknown("split of this data set", split, self._splits)
            )
        return self._splits[other]

    def _views(self, videos: VideoSplit, views: ViewsConfig):
        """Return a function from the index of a video to its views."""
        read = pipeline.read_function(videos, self._reader, self._bad)
        return functools.partial(
            pipeline.views_of, videos, self.sampling, read, views
        )


@functools.lru_cache(maxsize=4)
def _loaded(cls, data, sampling):
    """Load once per process, because probing many videos takes long."""
    return cls(data, sampling)


def _check_views(sampling: SamplingConfig, views: ViewsConfig) -> None:
    try:
        frame_sampling.check(sampling, views)
    except ValueError as error:
        raise UserError(str(error)) from error
