"""Registry and base class of data sets."""

import abc
import dataclasses
import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from nonlocal_tf.choices import unknown

from ..io.paths import is_url
from ..io.user_error import UserError
from .bad_videos import BadVideo
from .data_config import DataConfig
from .data_files import DataFile
from .sampling_config import SamplingConfig

DATASETS: dict[str, type["Dataset"]] = {}
EVAL_SPLITS = ("validation", "test")


@dataclasses.dataclass(frozen=True)
class LabelledExample:
    """One labelled example, with positions to visualize where known.

    Attributes:
        pixels: uint8, of the data set's `element_shape`.
        label: index of the class; -1 without a label.
        query: (frame, y, x) in pixels, a query position on the labelled object.
        target: (frame, y, x) in pixels, the position that the query has to
            attend to.
    """

    pixels: np.ndarray
    label: int
    query: tuple[int, int, int] | None = None
    target: tuple[int, int, int] | None = None


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """Metadata of a data set, stored with trained networks.

    Attributes:
        classes: as in `Dataset`.
        element_shape: as in `Dataset`.
        multi_label: as in `Dataset`.
        description: as in `Dataset`.
        summary: result of `Dataset.overview`.
    """

    classes: tuple[str, ...]
    element_shape: tuple[int, ...]
    multi_label: bool = False
    description: str = ""
    summary: str = ""

    def overview(self) -> str:
        """Return the summary of the data set that the network trained on."""
        return self.summary


class Dataset(abc.ABC):
    """Labelled clips or images, as batches of (uint8 pixels, labels).

    Attributes:
        description: one line for `--list`.
        classes: class names in the order of the labels.
        element_shape: shape of the pixels of one example.
        eval_examples: number of examples of each evaluation split.
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

    def examples(self, split: str) -> int:
        """Number of readable examples of an evaluation split."""
        check_split(split)
        return self.eval_examples

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

    def check_trainable(self) -> None:  # noqa: B027
        """Raise a UserError if labels needed for training are missing."""

    def check_bad(  # noqa: B027
        self, bad: Sequence[BadVideo] | None = None
    ) -> None:
        """Raise a UserError if too many examples cannot be read.

        Args:
            bad: unreadable examples; by default those of this process.
        """

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
        name: name in `DATASETS`, or the path or URL of a folder with one folder
            of videos per class.
        data: location of its files.
        sampling: clips to take of each video.

    Raises:
        UserError: the name is unknown, or the data set cannot be read.
    """
    if name not in DATASETS and data is None:
        if is_url(name) or os.path.isdir(name):
            name, data = "folder", DataConfig(root=name)
    if name not in DATASETS:
        raise UserError(unknown("dataset", name, DATASETS))
    return DATASETS[name].load(data, sampling)


def check_split(split: str) -> None:
    """Raise a UserError unless `split` is "validation" or "test"."""
    if split not in EVAL_SPLITS:
        raise UserError(unknown("split", split, EVAL_SPLITS))
