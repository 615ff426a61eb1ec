"""Mixup and CutMix: mixtures of the clips of a batch, and of their labels.

Clips are mixed in pairs, the first and the second of a batch and so on, so that
devices and workers with shares of even size mix the same pairs. Which of the
two is applied, and how, is drawn once a batch, from the seed and the number of
the batch alone.
"""

import math
import numbers

import tensorflow as tf

from ..io.user_error import UserError

MIXUP_SHARE = 0.5  # of batches, if both are asked for


def mixed_batches(
    batches: tf.data.Dataset,
    seed: int,
    classes: int,
    mixup: float = 0.0,
    cutmix: float = 0.0,
) -> tf.data.Dataset:
    """Mix the clips of each batch of a data set.

    Args:
        batches: the number of each batch, and uint8 clips `(batch, time,
            height, width, channels)` with int labels `(batch,)`; and weights
            `(batch,)`, if examples have them, 0 for unreadable clips.
        seed: of the run.
        classes: number of classes.
        mixup: alpha of mixup's Beta distribution; 0 for none.
        cutmix: alpha of CutMix's; 0 for none.

    Returns:
        uint8 clips of the same shape, float32 labels `(batch, classes)`; and
        the weights.

    References:
        Zhang et al., mixup: Beyond empirical risk minimization, ICLR 2018.
        Yun et al., CutMix, ICCV 2019.
    """

    def mix(number, batch):
        clips, labels, *weights = batch
        mixed = mixture(
            clips,
            tf.one_hot(labels, classes),
            (seed, number),
            mixup,
            cutmix,
            *weights,
        )
        return *mixed, *weights

    return batches.map(
        mix, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )


def checked_alphas(mixup: float, cutmix: float) -> tuple[float, float]:
    """Return the alphas of mixup and CutMix.

    Raises:
        UserError: one is not a number from 0.
    """
    for name, alpha in {"mixup": mixup, "cutmix": cutmix}.items():
        if not (isinstance(alpha, numbers.Real) and 0 <= alpha < math.inf):
            raise UserError(
                f"Expected {name} as a number from 0. Received: {alpha!r}"
            )
    return float(mixup), float(cutmix)


def mixture(clips, labels, seed, mixup: float, cutmix: float, weights=None):
    """Mix the clips of a batch in pairs; the last of an odd number stays.

    So do both of a pair that has an unreadable clip.

    Args:
        clips: uint8 `(batch, time, height, width, channels)`.
        labels: float32 `(batch, classes)`.
        seed: two integers.
        mixup: alpha of mixup; 0 for none.
        cutmix: alpha of CutMix; 0 for none.
        weights: `(batch,)`, 0 for unreadable clips. Default: none is.

    Returns:
        uint8 clips and float32 labels of the same shapes.
    """
    key = tf.stack([tf.cast(part, tf.int64) for part in seed])
    choice, share, place = tf.unstack(
        tf.random.experimental.stateless_split(key, 3)
    )
    is_mixup = tf.random.stateless_uniform((), choice) < MIXUP_SHARE
    if not (mixup and cutmix):
        is_mixup = tf.constant(mixup > 0)
    own = _beta(share, tf.where(is_mixup, float(mixup), float(cutmix)))
    inside = box(place, own, clips.shape[2], clips.shape[3])
    covered = tf.reduce_mean(tf.cast(inside, tf.float32))
    own = tf.where(is_mixup, own, 1 - covered)
    count = tf.shape(labels)[0]
    index = tf.range(count)
    partner = tf.bitwise.bitwise_xor(index, 1)
    partner = tf.where(partner < count, partner, index)
    if weights is not None:
        is_readable = weights * tf.gather(weights, partner) > 0
        partner = tf.where(is_readable, partner, index)
    partners = tf.gather(clips, partner)
    pixels = tf.cond(
        is_mixup,
        lambda: _blend(clips, partners, own),
        lambda: tf.where(inside[..., None], partners, clips),
    )
    return pixels, own * labels + (1 - own) * tf.gather(labels, partner)


def box(seed, own, height: int, width: int):
    """Draw the part of frames that CutMix takes from other clips.

    Args:
        seed: int64 `(2,)`.
        own: share of the area that stays, before the box is cut at the edges.
        height: of the frames.
        width: of the frames.

    Returns:
        bool `(height, width)`.
    """
    centre = tf.random.stateless_uniform((2,), seed)
    inside = []
    for side, length in enumerate((height, width)):
        half = tf.cast(tf.sqrt(1 - own) * length / 2, tf.int32)
        middle = tf.cast(centre[side] * length, tf.int32)
        index = tf.range(length)
        inside.append((index >= middle - half) & (index < middle + half))
    return inside[0][:, None] & inside[1]


def _blend(clips, partners, own):
    mixed = own * tf.cast(clips, tf.float32)
    mixed += (1 - own) * tf.cast(partners, tf.float32)
    return tf.cast(mixed + 0.5, tf.uint8)


def _beta(seed, alpha):
    """Draw a number from Beta(alpha, alpha)."""
    draws = tf.random.stateless_gamma((2,), seed, alpha=alpha)
    return draws[0] / tf.maximum(draws[0] + draws[1], 1e-30)
