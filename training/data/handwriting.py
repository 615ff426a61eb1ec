"""Scikit-learn's copy of the UCI digits: 1797 images of 8x8, 10 classes.

Images are split before clips are generated, so test clips share no handwriting
with training clips.
"""

import functools

import numpy as np
import tensorflow as tf

from ..io.user_error import missing_extra

SPLITS = ("train", "validation", "test")
SPLIT_SEED = 2018
DIGIT_PX = 16


class Handwriting:
    """Images of one split, sorted by class.

    Args:
        split: in `SPLITS`.
        digit_px: height and width to which images are resized.
    """

    def __init__(self, split: str, digit_px: int = DIGIT_PX):
        images, labels = load_handwriting()
        chosen = split_indices(labels)[split]
        members = [chosen[labels[chosen] == digit] for digit in range(10)]
        self._counts = tf.constant([len(m) for m in members], tf.float32)
        self._start = tf.constant(
            np.cumsum([0] + [len(m) for m in members[:-1]]), tf.int32
        )
        self._images = tf.image.resize(
            images[np.concatenate(members), ..., None], (digit_px, digit_px)
        )[..., 0]

    def pick(self, digits, uniform):
        """Pick an image of each class in `digits` by a number in [0, 1).

        Args:
            digits: int32, `(b, d)`.
            uniform: float32, `(b, d)`.

        Returns:
            float32 in [0, 1], `(b, d, digit_px, digit_px)`.
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
