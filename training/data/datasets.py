"""Registry and base class of data sets."""

import abc
import os
from collections.abc import Callable, Sequence

import tensorflow as tf

from nonlocal_tf.choices import unknown

from ..io.paths import as_path
from ..io.user_error import UserError
from . import bad_videos, class_weights, pipeline
from .bad_videos import BadVideo
from .data_config import (
    EVAL_SPLITS,
    SPLITS,
    DataConfig,
    check_seed,
    check_split,
)
from .data_files import DataFile
from .dataset_info import DatasetInfo, LabelledExample
from .example_source import ExampleSource
from .fit_batches import FitBatches
from .sampling_config import SamplingConfig
from .video_limits import Limits

DATASETS: dict[str, type["Dataset"]] = {}


class Dataset(FitBatches):
    """Labelled clips or images, as batches of (uint8 pixels, labels).

    Attributes:
        description: one line for `--list`.
        classes: class names in the order of the labels.
        element_shape: shape of the pixels of one example.
        eval_examples: number of examples of each evaluation split.
        train_examples: number of training examples in an epoch.
        sampling: clips to take of each video; None without videos.
        limits: resource limits of decoding a video file.
        multi_label: whether labels are multi-hot vectors instead of class
            indices.
        skips_unlabelled: with `multi_label`, whether mean average precision
            leaves out examples without a class instead of taking them as
            negatives of every class.
    """

    multi_label: bool = False
    skips_unlabelled: bool = False
    description: str
    classes: tuple[str, ...]
    element_shape: tuple[int, ...]
    eval_examples: int
    train_examples: int
    sampling: SamplingConfig | None = None
    limits: Limits = Limits()

    def __repr__(self) -> str:
        splits = ", ".join(f"{name}={n}" for name, n in self.splits.items())
        return f"<{type(self).__name__}: {len(self.classes)} classes, {splits}>"

    @property
    def info(self) -> DatasetInfo:
        """Metadata to store with trained networks."""
        return DatasetInfo(
            tuple(self.classes),
            tuple(self.element_shape),
            self.multi_label,
            self.description,
            self.overview(),
        )

    @property
    def bad(self) -> Sequence[BadVideo]:
        """Examples that are left out because they cannot be read."""
        return ()

    @classmethod
    def load(
        cls, data: DataConfig | None, sampling: SamplingConfig | None
    ) -> "Dataset":
        """Load the data set.

        Args:
            data: location of its files.
            sampling: clips to take of each video.

        Raises:
            UserError: the settings do not apply to this data set, or it cannot
                be read.
        """
        if data is not None or sampling is not None:
            raise UserError(
                f"Expected neither data nor sampling: the clips of "
                f"{cls.__name__} are generated."
            )
        return cls()

    @property
    def splits(self) -> dict[str, int]:
        """Number of readable examples of each split."""
        return {
            "train": self.train_examples,
            **dict.fromkeys(EVAL_SPLITS, self.eval_examples),
        }

    def examples(self, split: str) -> int:
        """Number of readable examples of an evaluation split."""
        check_split(split)
        return self.eval_examples

    def source(
        self, split: str, *, seed: int = 0, epoch: int = 0
    ) -> ExampleSource:
        """Return the examples of a split for random access.

        Args:
            split: "train", "validation" or "test".
            seed: seed of order, clips and augmentation in training.
            epoch: number of the training epoch, from 0.

        Returns:
            A sequence of (pixels, label), as in `batches` but unbatched and
            without pre-processing. In training, item i of epoch e is example
            e * len + i of all epochs.

        Raises:
            UserError: the split or the seed is invalid, or labels needed for
                training are missing.

        Example:

        >>> source = videos.source("test")
        >>> clip, label = source[3]  # uint8 (time, height, width, 3), int64
        """
        check_split(split, SPLITS)
        check_seed(seed)
        example, count = self.example_function(split, seed)
        if split != "train":
            return ExampleSource(example, count)
        self.check_labels(split)
        return ExampleSource(example, count, first=epoch * count)

    def overview(self) -> str:
        """Summarize the data set in text for the screen; may be ""."""
        return ""

    def notes(self) -> list[str]:
        """Return warnings about skipped files and likely mistakes."""
        return []

    def fingerprint(self) -> str | None:
        """Return a digest of the examples; None if they are generated."""
        return None

    def training_files(self) -> list[DataFile] | None:
        """List the training files; None if examples are generated."""
        return None

    def held_out(self) -> dict[str, list[DataFile]]:
        """List the files of each other split."""
        return {}

    def class_counts(self) -> list[int] | None:
        """Count training examples by class; None if generated, all as often."""
        return None

    def class_weights(self) -> dict[int, float]:
        """Return weights of the classes in the loss, for `fit`.

        In inverse proportion to the training examples of a class, as
        scikit-learn's "balanced": examples / (classes x examples of the class).

        Raises:
            UserError: videos have several classes each.

        Example:

        >>> model.fit(train, class_weight=videos.class_weights())
        """
        if self.multi_label:
            raise UserError(
                "class_weights are for videos of one class each. These have "
                "several."
            )
        counts = self.class_counts() or [1] * len(self.classes)
        return dict(enumerate(class_weights.balanced(counts)))

    def check_labels(self, split: str) -> None:
        """Raise a UserError if a split has no labels to train on."""

    def check_trainable(self) -> None:
        """Raise a UserError if labels needed for training are missing."""
        for split in SPLITS:
            self.check_labels(split)

    def check_bad(self) -> None:
        """Raise a UserError if too many examples cannot be read."""

    def write_bad(self, path: str | os.PathLike) -> None:
        """Write the list of bad examples, or remove it if there are none.

        Args:
            path: csv file with the columns split, path and reason, or its URL.

        Raises:
            OSError: it cannot be written.
        """
        bad_videos.write_bad_videos(as_path(path), self.bad)

    @abc.abstractmethod
    def train_batches(
        self,
        batch: int,
        seed: int,
        start_step: int,
        steps: int,
        worker: int = 0,
        workers: int = 1,
    ) -> tf.data.Dataset:
        """Return batches `start_step` to `steps` - 1 of a training run.

        Each worker reads its own share of a batch only: the first of two
        workers the first half, and so on. A batch depends on (seed, its number)
        alone, so a resumed run gets the batches of an uninterrupted one. The
        dataset has a known cardinality.

        Args:
            batch: examples per batch of all workers.
            seed: seed of order, clips and augmentation.
            start_step: number of the first batch.
            steps: number of batches of the whole run.
            worker: index of this worker.
            workers: number of workers.

        Returns:
            (pixels, labels) or (pixels, labels, weights) of `batch / workers`
            examples; the weight of an example that cannot be read is 0.0.
        """

    @abc.abstractmethod
    def example_function(
        self, split: str, seed: int = 0
    ) -> tuple[Callable, int]:
        """Return a function of an example's number, and their number.

        Args:
            split: "train", "validation" or "test".
            seed: seed of order, clips and augmentation in training.

        Returns:
            A function of an int64 number, counted through all epochs in
            training, to pixels and label, for `tf.function` or `tf.data`; and
            the number of examples, in an epoch.
        """

    def ordered_examples(self, split: str) -> tf.data.Dataset:
        """Return the examples of an evaluation split as (pixels, label)."""
        example, count = self.example_function(split)
        return pipeline.examples(tf.data.Dataset.range(count), example)

    @abc.abstractmethod
    def eval_batches(self, split: str) -> tf.data.Dataset:
        """Return all examples of "validation" or "test", in order."""

    @abc.abstractmethod
    def example(self, split: str, index: int) -> LabelledExample:
        """Return an example of an evaluation split by index."""


def register_dataset(name: str):
    """Register a `Dataset` class under a name, as a decorator."""

    def register(cls):
        if name in DATASETS:
            raise ValueError(f"Dataset {name!r} is already registered.")
        DATASETS[name] = cls
        return cls

    return register


def load(
    name: str,
    data: DataConfig | None = None,
    sampling: SamplingConfig | None = None,
) -> Dataset:
    """Load a data set.

    Args:
        name: name in `DATASETS`.
        data: location of its files.
        sampling: clips to take of each video.

    Raises:
        UserError: the name is unknown, or the data set cannot be read.
    """
    if name not in DATASETS:
        raise UserError(
            f"{unknown('dataset', name, DATASETS)} If a module of yours "
            "registers it, commands import it by --plugin MODULE."
        )
    return DATASETS[name].load(data, sampling)
