"""The table of datasets and what each of them offers."""

import abc
import dataclasses

import numpy as np
import tensorflow as tf

from nonlocal_tf.choices import unknown
from training.errors import UserError

DATASETS: dict[str, type["Dataset"]] = {}
EVAL_SPLITS = ("validation", "test")


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


class Dataset(abc.ABC):
    """Labelled clips or images, as batches of (uint8 pixels, labels).

    Attributes:
        description: one line for `--list`.
        classes: their names, in the order of the labels.
        element_shape: of one example's pixels.
        chance: accuracy of guessing.
        eval_examples: size of each evaluation split.
    """

    description: str
    classes: tuple[str, ...]
    element_shape: tuple[int, ...]
    chance: float
    eval_examples: int

    @abc.abstractmethod
    def train_batches(
        self, batch: int, seed: int, start_step: int, steps: int
    ) -> tf.data.Dataset:
        """Batches number `start_step` to `steps` - 1 of a training run.

        Every batch is a function of (seed, its number) alone, so a resumed
        run sees what the uninterrupted one would have seen. All have
        `batch` examples, and the cardinality is known.
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


def load_dataset(name: str) -> Dataset:
    """Loads a dataset of the table."""
    if name not in DATASETS:
        raise UserError(unknown("dataset", name, DATASETS))
    return DATASETS[name]()


def check_split(split: str) -> None:
    """Raises unless `split` is an evaluation split."""
    if split not in EVAL_SPLITS:
        raise UserError(unknown("split", split, EVAL_SPLITS))
