"""Base of data sets whose clips are generated, and what draws them."""

import abc
from typing import Any

import tensorflow as tf

from ..io.user_error import UserError
from .data_config import check_split
from .dataset_info import LabelledExample
from .datasets import Dataset
from .handwriting import DIGIT_PX, SPLITS, Handwriting

# Evaluation clips are generated in blocks with a seed each, so that a clip does
# not depend on how many are read.
EVAL_BLOCK = 64
EVAL_BLOCKS = 32
# An epoch of `batches`; clips of all epochs differ.
TRAIN_EXAMPLES = 6_400
EVAL_SEEDS = {"validation": 1_000_000_007, "test": 1_000_000_009}


class GeneratedDataset(Dataset):
    """Base of generated data sets: blocks of (seed, number)."""

    def __init__(self, digit_px: int | None = DIGIT_PX):
        self.eval_examples = EVAL_BLOCK * EVAL_BLOCKS
        self.train_examples = TRAIN_EXAMPLES
        # None for data sets that draw something else.
        self._handwriting: dict[str, Any] = {
            split: digit_px and Handwriting(split, digit_px) for split in SPLITS
        }

    @abc.abstractmethod
    def make(self, handwriting: Handwriting, count: int, seed) -> dict:
        """Generate `count` examples as a dict of tensors, from `seed` alone."""

    def train_batches(
        self, batch, seed, start_step, steps, worker=0, workers=1
    ):
        share = batch // workers
        own = slice(worker * share, (worker + 1) * share)
        batches = self.step_batches(
            tf.data.Dataset.range(start_step, steps), batch, seed
        )
        return batches.map(
            lambda _, examples: tuple(value[own] for value in examples)
        )

    def step_batches(self, steps, batch, seed):
        def make_batch(step):
            examples = self.make(
                self._handwriting["train"], batch, (seed, step)
            )
            return step, (examples["pixels"], examples["label"])

        return steps.map(make_batch, num_parallel_calls=tf.data.AUTOTUNE)

    def example_function(self, split, seed=0):
        """Return a function of an example's number, and their number.

        Training examples are those of batches of `EVAL_BLOCK`.
        """
        block_seed = EVAL_SEEDS.get(split, seed)

        def example(number):
            examples = self.make(
                self._handwriting[split],
                EVAL_BLOCK,
                (block_seed, number // EVAL_BLOCK),
            )
            row = number % EVAL_BLOCK
            return examples["pixels"][row], examples["label"][row]

        count = self.train_examples
        return example, self.eval_examples if split in EVAL_SEEDS else count

    def ordered_examples(self, split):
        count = tf.data.experimental.assert_cardinality(self.eval_examples)
        return self.eval_batches(split).unbatch().apply(count)

    def eval_batches(self, split):
        check_split(split)

        def make_block(block):
            examples = self._eval_block(split, block)
            return examples["pixels"], examples["label"]

        return tf.data.Dataset.range(self.eval_examples // EVAL_BLOCK).map(
            make_block, num_parallel_calls=tf.data.AUTOTUNE
        )

    def example(self, split, index):
        check_split(split)
        if not 0 <= index < self.eval_examples:
            raise UserError(
                f"Expected a sample from 0 to {self.eval_examples - 1}. "
                f"Received: {index}"
            )
        block, row = divmod(index, EVAL_BLOCK)
        values = {
            key: value[row].numpy()
            for key, value in self._eval_block(split, block).items()
        }
        label = values["label"]
        return LabelledExample(
            pixels=values["pixels"],
            label=int(label.argmax() if self.multi_label else label),
            query=_point(values.get("query")),
            target=_point(values.get("target")),
        )

    def _eval_block(self, split, block):
        return self.make(
            self._handwriting[split], EVAL_BLOCK, (EVAL_SEEDS[split], block)
        )


class Draws:
    """Independent random draws for `count` examples from one seed."""

    def __init__(self, seed, count: int):
        self._seed = tf.stack([tf.cast(part, tf.int64) for part in seed])
        self.count = count

    def next_seed(self):
        """Return a seed of what a caller draws itself."""
        self._seed, seed = tf.unstack(
            tf.random.experimental.stateless_split(self._seed, 2)
        )
        return seed

    def uniform(self, size: int):
        """Draw numbers in [0, 1), `(b, size)`."""
        return tf.random.stateless_uniform((self.count, size), self.next_seed())

    def permutation(self, size: int):
        """Draw a permutation of 0 .. size - 1 per example, `(b, size)`."""
        return tf.argsort(self.uniform(size))

    def integers(self, shape: tuple[int, ...], high):
        """Draw integers from 0 to `high` - 1, `(b, *shape)`."""
        return tf.random.stateless_uniform(
            (self.count, *shape), self.next_seed(), maxval=high, dtype=tf.int32
        )

    def corners(self, patches: int, slack_px: int):
        """Draw corners (y, x) from 0 to `slack_px`, `(b, patches, 2)`."""
        return self.integers((patches, 2), slack_px + 1)

    def noisy(self, pixels, noise_std: float):
        """Add Gaussian noise, clip to 0 .. 255 and round to uint8."""
        noise = tf.random.stateless_normal(pixels.shape, self.next_seed())
        pixels = tf.clip_by_value(pixels + noise_std * noise, 0.0, 255.0)
        return tf.cast(tf.round(pixels), tf.uint8)


def place(patches, corners, height_px, width_px):
    """Paste square patches into empty frames.

    Computed as two products with one-hot matrices, without loop or scatter.

    Args:
        patches: float32, `(b, d, p, p)`.
        corners: int32 (y, x) of each patch's first pixel, `(b, d, 2)`.
        height_px: of the frames.
        width_px: of the frames.

    Returns:
        float32, `(b, d, height_px, width_px)`.
    """
    along = tf.range(patches.shape[-1])
    rows = tf.one_hot(corners[..., :1] + along, height_px)  # (b, d, p, h)
    columns = tf.one_hot(corners[..., 1:] + along, width_px)  # (b, d, q, w)
    return tf.einsum("bdpq,bdph,bdqw->bdhw", patches, rows, columns)


def _point(value):
    return None if value is None else tuple(int(v) for v in value)
