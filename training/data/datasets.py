"""The table of datasets and what each of them offers."""

import abc
import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from nonlocal_tf.choices import unknown

from ..io.user_error import UserError
from ..recipes.schema import DataConfig, Recipe, SamplingConfig
from ..runs.training_files import TrainingFile

DATASETS: dict[str, type["Dataset"]] = {}
EVAL_SPLITS = ("validation", "test")


@dataclasses.dataclass(frozen=True)
class BadVideo:
    """A video that is left out, and why."""

    split: str
    path: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Example:
    """One labelled example and, where known, what a network should look at.

    Attributes:
        pixels: uint8, of the dataset's `element_shape`.
        label: index of the class.
        query: (frame, y, x) in pixels of the thing the label names.
        target: (frame, y, x) in pixels of what tells which thing that is.
    """

    pixels: np.ndarray
    label: int
    query: tuple[int, int, int] | None = None
    target: tuple[int, int, int] | None = None


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """What a network and its users have to know of a data set.

    A run folder keeps it, so that a trained network can be used where the data
    set is not.

    Attributes:
        classes: as of `Dataset`.
        element_shape: as of `Dataset`.
        multi_label: as of `Dataset`.
        description: as of `Dataset`.
        summary: what `Dataset.overview` said.
    """

    classes: tuple[str, ...]
    element_shape: tuple[int, ...]
    multi_label: bool = False
    description: str = ""
    summary: str = ""

    def overview(self) -> str:
        """What there was, as text; "" if that is known."""
        return self.summary


class Dataset(abc.ABC):
    """Labelled clips or images, as batches of (uint8 pixels, labels).

    Attributes:
        description: one line for `--list`.
        classes: their names, in the order of the labels.
        element_shape: of one example's pixels.
        eval_examples: size of each evaluation split.
        multi_label: whether labels are a 0 or 1 for each class instead of one
            number.
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
        """What a network and its users have to know of it."""
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
        """The data set with the settings of a recipe.

        Raises:
            UserError: they are not for this data set, or it cannot be read.
        """
        if data is not None or sampling is not None:
            raise UserError(
                f"The clips of {cls.__name__} are made, not read: it takes "
                "neither data nor sampling."
            )
        return cls()

    def examples(self, split: str) -> int:
        """How many examples an evaluation split has."""
        check_split(split)
        return self.eval_examples

    def overview(self) -> str:
        """What there is, as a line for the screen; "" if that is known."""
        return ""

    def notes(self) -> list[str]:
        """Lines about what is left out or is often a mistake."""
        return []

    def fingerprint(self) -> str | None:
        """Names what examples are drawn from; None if that is the code."""
        return None

    def training_files(self) -> list[TrainingFile] | None:
        """The files that are trained on; None if the code makes them."""
        return None

    def held_out(self) -> dict[str, list[TrainingFile]]:
        """The files of each other split, if there are any."""
        return {}

    def check_trainable(self) -> None:  # noqa: B027
        """Raises a UserError if no network can be trained on it yet."""

    def check_bad(  # noqa: B027
        self, bad: Sequence[BadVideo] | None = None
    ) -> None:
        """Raises a UserError if too many examples turned out to be bad.

        Args:
            bad: by default those that this process knows of.
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
        """Batches number `start_step` to `steps` - 1 of a training run.

        Of each batch a worker reads its own part alone: the first of two the
        first half, and so on. Every batch is a function of (seed, its number)
        alone, so a resumed run sees what the uninterrupted one would have
        seen. All have `batch / workers` examples, and the cardinality is
        known. Batches may have a third part, the weight of each example: 0.0
        where reading it failed.
        """

    @abc.abstractmethod
    def eval_batches(self, split: str) -> tf.data.Dataset:
        """The fixed examples of "validation" or "test", in order."""

    @abc.abstractmethod
    def example(self, split: str, index: int) -> Example:
        """Example number `index` of an evaluation split."""


def register_dataset(name: str):
    """Class decorator: makes a `Dataset` known as `name`."""

    def register(cls):
        if name in DATASETS:
            raise ValueError(f"Dataset {name!r} exists already.")
        DATASETS[name] = cls
        return cls

    return register


def load_dataset(
    name: str,
    data: DataConfig | None = None,
    sampling: SamplingConfig | None = None,
) -> Dataset:
    """Loads a dataset of the table.

    Raises:
        UserError: there is none of this name, or it cannot be read.
    """
    if name not in DATASETS:
        raise UserError(unknown("dataset", name, DATASETS))
    return DATASETS[name].load(data, sampling)


def dataset_of(recipe: Recipe) -> Dataset:
    """The dataset that a recipe trains on.

    Raises:
        UserError: it cannot be read.
    """
    return load_dataset(recipe.dataset, recipe.data, recipe.sampling)


def check_split(split: str) -> None:
    """Raises unless `split` is an evaluation split."""
    if split not in EVAL_SPLITS:
        raise UserError(unknown("split", split, EVAL_SPLITS))
