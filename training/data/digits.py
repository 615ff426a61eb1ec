"""Generated digit clips whose classification needs long-range attention.

Frame 0 of a clip shows a patch in one of six colours. Then four digits appear,
each in its own frame, position and colour, one of them in the colour of the
patch. The label is the class of that digit. A network has to relate two distant
positions in space and time by their content, which one non-local block does; a
network that pools local features detects the digits, but not which of them has
the colour of the patch.

The handwriting is scikit-learn's copy of the UCI digits (1797 images of 8x8,
10 classes). Images are split before clips are generated, so test clips share no
handwriting with training clips.
"""

import abc
import functools

import numpy as np
import tensorflow as tf

from ..io.user_error import UserError, missing_extra
from .dataset_info import LabelledExample
from .datasets import Dataset, check_split, register_dataset

FRAMES = 8
FRAME_PX = 32
DIGIT_PX = 16
FLASH_PX = 16
DIGITS_PER_CLIP = 4
NOISE_STD = 8.0  # of 255
COLOURS = {
    "red": (255, 64, 64),
    "green": (64, 255, 64),
    "blue": (80, 80, 255),
    "yellow": (255, 255, 64),
    "magenta": (255, 64, 255),
    "cyan": (64, 255, 255),
}
DIGITS = tuple(str(digit) for digit in range(10))
SPLITS = ("train", "validation", "test")
SPLIT_SEED = 2018
# Evaluation clips are generated in blocks with a seed each, so that a clip does
# not depend on how many are read.
EVAL_BLOCK = 64
EVAL_BLOCKS = 32
# An epoch of `batches`; clips of all epochs differ.
TRAIN_EXAMPLES = 6_400
EVAL_SEEDS = {"validation": 1_000_000_007, "test": 1_000_000_009}


class _Digits(Dataset):
    """Base of both data sets: blocks generated from (seed, number)."""

    def __init__(self):
        self.eval_examples = EVAL_BLOCK * EVAL_BLOCKS
        self.train_examples = TRAIN_EXAMPLES
        self._handwriting = {split: Handwriting(split) for split in SPLITS}

    @abc.abstractmethod
    def make(self, handwriting: "Handwriting", count: int, seed) -> dict:
        """Generate `count` examples as a dict of tensors, from `seed` alone."""

    def train_batches(
        self, batch, seed, start_step, steps, worker=0, workers=1
    ):
        share = batch // workers
        own = slice(worker * share, (worker + 1) * share)
        batches = self.step_batches(
            tf.data.Dataset.range(start_step, steps), batch, seed
        )
        if workers == 1:
            return batches
        return batches.map(lambda pixels, labels: (pixels[own], labels[own]))

    def step_batches(self, steps, batch, seed):
        def make_batch(step):
            examples = self.make(
                self._handwriting["train"], batch, (seed, step)
            )
            return examples["pixels"], examples["label"]

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

        return tf.data.Dataset.range(EVAL_BLOCKS).map(
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
        return LabelledExample(
            pixels=values["pixels"],
            label=int(values["label"]),
            query=_point(values.get("query")),
            target=_point(values.get("target")),
        )

    def _eval_block(self, split, block):
        return self.make(
            self._handwriting[split], EVAL_BLOCK, (EVAL_SEEDS[split], block)
        )


@register_dataset("digits_recall")
class DigitsRecall(_Digits):
    """Clips `(8, 32, 32, 3)`; the class of the digit in the patch's colour."""

    description = "which of 4 handwritten digits has the colour of the flash"
    classes = DIGITS
    element_shape = (FRAMES, FRAME_PX, FRAME_PX, 3)

    def make(self, handwriting, count, seed):
        # b clips, d digits. Digit 0 is the target; its index reveals nothing,
        # because frames, positions and colours are drawn at random.
        draw = _Draws(seed, count)
        digits = draw.permutation(len(DIGITS))[:, :DIGITS_PER_CLIP]
        colours = draw.permutation(len(COLOURS))[:, :DIGITS_PER_CLIP]
        frames = 1 + draw.permutation(FRAMES - 1)[:, :DIGITS_PER_CLIP]
        corners = draw.corners(DIGITS_PER_CLIP, DIGIT_PX)  # (b, d, 2)
        flash_corner = draw.corners(1, FLASH_PX)  # (b, 1, 2)

        images = handwriting.pick(digits, draw.uniform(DIGITS_PER_CLIP))
        rgb = tf.gather(_palette(), colours)  # (b, d, 3)
        clips = tf.einsum(
            "bdhw,bdt,bdc->bthwc",
            place(images, corners),
            tf.one_hot(frames, FRAMES),
            rgb,
        )
        flash = place(
            tf.ones((count, 1, FLASH_PX, FLASH_PX)), flash_corner
        )  # (b, 1, h, w)
        first = tf.einsum("bdhw,bdc->bdhwc", flash, rgb[:, :1])
        clips += tf.pad(first, [[0, 0], [0, FRAMES - 1], *[[0, 0]] * 3])
        query = corners[:, 0] + DIGIT_PX // 2
        target = flash_corner[:, 0] + FLASH_PX // 2
        return {
            "pixels": draw.noisy(clips),
            "label": digits[:, 0],
            "query": tf.concat([frames[:, :1], query], 1),
            "target": tf.concat([tf.zeros_like(frames[:, :1]), target], 1),
        }


@register_dataset("digits_frames")
class DigitsFrames(_Digits):
    """Images `(32, 32, 3)` of one digit; 60 classes of digit and colour.

    The image network is trained on it before it is inflated. Colour is part of
    the class so that features keep it.
    """

    description = "one handwritten digit a frame: its class and its colour"
    classes = tuple(
        f"{colour} {digit}" for digit in DIGITS for colour in COLOURS
    )
    element_shape = (FRAME_PX, FRAME_PX, 3)

    def make(self, handwriting, count, seed):
        draw = _Draws(seed, count)
        digits = draw.permutation(len(DIGITS))[:, :1]  # (b, 1)
        colours = draw.permutation(len(COLOURS))[:, :1]
        images = handwriting.pick(digits, draw.uniform(1))
        frames = tf.einsum(
            "bdhw,bdc->bhwc",
            place(images, draw.corners(1, DIGIT_PX)),
            tf.gather(_palette(), colours),
        )
        return {
            "pixels": draw.noisy(frames),
            "label": (digits * len(COLOURS) + colours)[:, 0],
        }


class Handwriting:
    """Images of one split, 16x16, sorted by class."""

    def __init__(self, split: str):
        images, labels = load_handwriting()
        chosen = split_indices(labels)[split]
        members = [chosen[labels[chosen] == digit] for digit in range(10)]
        self._counts = tf.constant([len(m) for m in members], tf.float32)
        self._start = tf.constant(
            np.cumsum([0] + [len(m) for m in members[:-1]]), tf.int32
        )
        self._images = tf.image.resize(
            images[np.concatenate(members), ..., None], (DIGIT_PX, DIGIT_PX)
        )[..., 0]

    def pick(self, digits, uniform):
        """Pick an image of each class in `digits` by a number in [0, 1).

        Args:
            digits: int32, `(b, d)`.
            uniform: float32, `(b, d)`.

        Returns:
            float32 in [0, 1], `(b, d, 16, 16)`.
        """
        offset = tf.cast(uniform * tf.gather(self._counts, digits), tf.int32)
        return tf.gather(self._images, tf.gather(self._start, digits) + offset)


@functools.cache
def load_handwriting() -> tuple[np.ndarray, np.ndarray]:
    """Load scikit-learn's digits: images in [0, 1] `(1797, 8, 8)`, classes."""
    try:
        from sklearn import datasets
    except ImportError as error:
        raise missing_extra("scikit-learn", "digits") from error
    digits = datasets.load_digits()
    return digits.images.astype("float32") / 16.0, digits.target


def split_indices(labels: np.ndarray) -> dict[str, np.ndarray]:
    """Split the images of every class into 3/5, 1/5 and 1/5."""
    rng = np.random.default_rng(SPLIT_SEED)
    parts: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
    for digit in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == digit))
        fifth = len(members) // 5
        parts["test"].append(members[:fifth])
        parts["validation"].append(members[fifth : 2 * fifth])
        parts["train"].append(members[2 * fifth :])
    return {k: np.sort(np.concatenate(v)) for k, v in parts.items()}


def place(patches, corners):
    """Paste square patches into empty frames.

    Computed as two products with one-hot matrices, without loop or scatter.

    Args:
        patches: float32, `(b, d, p, p)`.
        corners: int32 (y, x) of each patch's first pixel, `(b, d, 2)`.

    Returns:
        float32, `(b, d, 32, 32)`.
    """
    along = tf.range(patches.shape[-1])
    rows = tf.one_hot(corners[..., :1] + along, FRAME_PX)  # (b, d, p, h)
    columns = tf.one_hot(corners[..., 1:] + along, FRAME_PX)  # (b, d, q, w)
    return tf.einsum("bdpq,bdph,bdqw->bdhw", patches, rows, columns)


class _Draws:
    """Independent random draws for `count` examples from one seed."""

    def __init__(self, seed, count: int):
        self._seed = tf.stack([tf.cast(part, tf.int64) for part in seed])
        self._count = count

    def _next(self):
        self._seed, seed = tf.unstack(
            tf.random.experimental.stateless_split(self._seed, 2)
        )
        return seed

    def uniform(self, size: int):
        """Draw numbers in [0, 1), `(b, size)`."""
        return tf.random.stateless_uniform((self._count, size), self._next())

    def permutation(self, size: int):
        """Draw a permutation of 0 .. size - 1 per example, `(b, size)`."""
        return tf.argsort(self.uniform(size))

    def corners(self, patches: int, patch_px: int):
        """Draw corners of patches within the frame, `(b, patches, 2)`."""
        return tf.random.stateless_uniform(
            (self._count, patches, 2),
            self._next(),
            maxval=FRAME_PX - patch_px + 1,
            dtype=tf.int32,
        )

    def noisy(self, pixels):
        """Add Gaussian noise and round to uint8."""
        noise = tf.random.stateless_normal(pixels.shape, self._next())
        pixels = tf.clip_by_value(pixels + NOISE_STD * noise, 0.0, 255.0)
        return tf.cast(tf.round(pixels), tf.uint8)


def _palette():
    return tf.constant(list(COLOURS.values()), tf.float32)


def _point(value):
    return None if value is None else tuple(int(v) for v in value)
