"""Order of training videos: the video of each example, by its number alone."""

import tensorflow as tf

from .sampling_config import SamplingConfig
from .video_split import VideoSplit


def drawn_video(split: VideoSplit, config: SamplingConfig, seed, number):
    """Return the video of a training example, and a seed for its clip.

    Args:
        split: the videos.
        config: `balanced` and `repeats`.
        seed: of the run.
        number: int64, from 0, counted through all epochs.

    Returns:
        An int64 `(2,)` seed, to be folded with the video, and its index.
    """
    draw_video = _balanced_video if config.balanced else _video
    number, repeat = _repeated(number, config.repeats)
    key, index = draw_video(split, seed, number)
    if config.repeats > 1:
        key = tf.random.experimental.stateless_fold_in(key, repeat)
    return key, index


def _repeated(number, repeats: int):
    """Return the number of a drawn video, and which of its clips it is.

    Clips of two videos take turns, as mixup and CutMix mix neighbours.

    Reference:
        Hoffer et al., Augment your batch, CVPR 2020.
    """
    if repeats == 1:
        return number, 0
    pair, place = number // (2 * repeats), number % (2 * repeats)
    return 2 * pair + place % 2, place // 2


def _video(split: VideoSplit, seed, number):
    """Return the seed of an epoch, and the video: each once an epoch."""
    epoch, position = number // len(split), number % len(split)
    key = tf.stack([tf.cast(seed, tf.int64), epoch])
    return key, tf.random.experimental.index_shuffle(
        position, key, len(split) - 1
    )


def _balanced_video(split: VideoSplit, seed, number):
    """Return the seed of an epoch, and a video: each class as often.

    A round has one video of each class in random order; an epoch of a class is
    as many rounds as it has videos.
    """
    seed, classes = tf.cast(seed, tf.int64), split.of_classes.nrows()
    turn, position = number // classes, number % classes
    shuffle = tf.random.experimental.index_shuffle
    row = shuffle(position, tf.stack([seed, ~turn]), classes - 1)
    members = split.of_classes[row]
    count = tf.size(members, tf.int64)
    key = tf.stack([seed, turn // count])
    own = tf.random.experimental.stateless_fold_in(key, row)
    return key, members[shuffle(turn % count, own, count - 1)]
