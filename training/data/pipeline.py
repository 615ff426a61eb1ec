"""Input pipelines of clips for training and evaluation."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from nonlocal_tf import preprocess

from . import (
    augmentation,
    clip_reader,
    frame_sampling,
    transforms,
    video_order,
)
from .bad_videos import BadVideoLog
from .clip_reader import ClipReader, VideoError
from .sampling_config import SamplingConfig, ViewsConfig
from .video_split import VideoSplit


def feed(
    batches: tf.data.Dataset,
    preprocess: Callable | None = preprocess.normalize,
) -> tf.data.Dataset:
    """Pre-process pixels and prefetch batches.

    Pixels stay uint8 until here, a quarter of the bytes. The order is kept for
    evaluation and exact resume; four batches compensate for a slow one.

    Args:
        batches: (pixels, ...).
        preprocess: function of the pixels; None keeps them.
    """
    if preprocess is not None:
        batches = batches.map(
            lambda pixels, *rest: (preprocess(pixels), *rest),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
    return batches.prefetch(4)


def padded(batches: tf.data.Dataset, multiple: int) -> tf.data.Dataset:
    """Pad batches to a multiple of a size with examples of weight 0.

    They repeat those of the batch, so that metrics without weights differ
    little.

    Args:
        batches: (clips, labels) or (clips, labels, weights).
        multiple: number of devices that share a batch.

    Returns:
        (clips, labels, weights).
    """

    def pad(clips, labels, weights=None):
        count = tf.shape(labels)[0]
        if weights is None:
            weights = tf.ones(count)
        rows = tf.range(count + -count % multiple)
        own = rows % count
        weights = tf.gather(weights, own) * tf.cast(rows < count, tf.float32)
        return tf.gather(clips, own), tf.gather(labels, own), weights

    return batches.map(pad)


def shared_evenly(
    batches: tf.data.Dataset, count: int, batch_size: int, replicas: int
) -> tf.data.Dataset:
    """Pad batches with examples of weight 0 to a multiple of the replicas.

    Keras' losses are divided by the number of examples, padding included. So
    the weights of others are not 1 but such that means over all batches are
    those of `count` examples without weights.
    """
    full, rest = divmod(count, batch_size)
    total = sum(
        number * (size + -size % replicas)
        for number, size in ((full, batch_size), (1, rest))
    )
    return padded(batches, replicas).map(
        lambda pixels, labels, weights: (
            pixels,
            labels,
            weights * (total / max(count, 1)),
        )
    )


def replicas() -> int:
    """Return the number of devices that may share a batch."""
    if tf.distribute.has_strategy():
        return tf.distribute.get_strategy().num_replicas_in_sync
    gpus = tf.config.list_logical_devices("GPU")
    return len(gpus or tf.config.list_logical_devices("CPU"))


def examples(
    numbers: tf.data.Dataset,
    example: Callable,
    parallel: int = tf.data.AUTOTUNE,
) -> tf.data.Dataset:
    """Return the dataset of `example(number)`, in the order of the numbers."""
    return numbers.map(
        tf.autograph.experimental.do_not_convert(example),
        num_parallel_calls=parallel,
        deterministic=True,
    )


def example_numbers(steps: tf.data.Dataset, batch: int) -> tf.data.Dataset:
    """Return the numbers of the examples of training steps, int64."""

    def numbers(step):
        return tf.data.Dataset.range(step * batch, (step + 1) * batch)

    return steps.flat_map(numbers)


def readable_example(
    example: Callable,
    number,
    attempts: int,
    shape: tuple[int, ...],
    no_label,
    name: str,
):
    """Return `example(number)` or, if it is unreadable, the next readable one.

    Args:
        example: function of a number that returns pixels, a label and a weight,
            which is 0.0 for an unreadable example.
        number: int64, of the example.
        attempts: number of examples to try.
        shape: of the pixels.
        no_label: a label of the shape and dtype of all.
        name: of their split, for the error.

    Returns:
        Pixels and label.

    Raises:
        tf.errors.InvalidArgumentError: none can be read.
    """

    def is_unreadable(attempt, pixels, label, weight):
        return (weight == 0) & (attempt < attempts)

    def read_next(attempt, *_):
        return attempt + 1, *example(number + attempt)

    no_pixels = tf.zeros((0, *shape[1:]), tf.uint8)
    start = tf.constant(0, tf.int64), no_pixels, no_label, tf.constant(0.0)
    shapes = [value.shape for value in start]
    shapes[1] = tf.TensorShape((None, *shape[1:]))
    *_, pixels, label, weight = tf.while_loop(
        is_unreadable, read_next, start, tuple(shapes), parallel_iterations=1
    )
    is_read = tf.debugging.assert_greater(
        weight, 0.0, f"None of {attempts} examples of {name} can be read."
    )
    with tf.control_dependencies([is_read]):
        return tf.ensure_shape(pixels, shape), label


def read_function(
    split: VideoSplit, reader: ClipReader, log: BadVideoLog
) -> Callable:
    """Return a function that reads clips in a pipeline, for any reader.

    Videos that cannot be read are logged, with pixels and weight 0.

    Args:
        split: the videos.
        reader: reader of their storage.
        log: record of bad videos.
    """
    names = split.field_names
    read = reader.read
    if reader.tf_ops:
        read = clip_reader.evaluated(tf.function(read, reduce_retracing=True))

    def read_or_log(index, frames, windows, size_px, *values):
        fields = dict(zip(names, values, strict=True))
        try:
            return read(fields, frames, windows, size_px), np.float32(1)
        except (VideoError, tf.errors.OpError) as error:
            video = split.videos[int(index)]
            log.add(split.name, "read", int(index), video.path, error)
            shape = (len(windows), len(frames), *size_px, 3)
            return np.zeros(shape, np.uint8), np.float32(0)

    def read_tensors(row, frames, windows, size_px):
        pixels, weight = tf.numpy_function(
            read_or_log,
            [row["index"], frames, windows, size_px, *(row[n] for n in names)],
            (tf.uint8, tf.float32),
        )
        return pixels, tf.ensure_shape(weight, ())

    return read_tensors


def service_read_function(split: VideoSplit, reader: ClipReader) -> Callable:
    """Return a function that reads clips in a tf.data service.

    It consists of TensorFlow operations; unreadable videos raise their errors.
    """

    def read_tensors(row, frames, windows, size_px):
        fields = {name: row[name] for name in split.field_names}
        return reader.read(fields, frames, windows, size_px), 1.0

    return read_tensors


def distribute(
    batches: tf.data.Dataset, address: str, count: int
) -> tf.data.Dataset:
    """Read batches by a tf.data service, in any order.

    Args:
        batches: the batches.
        address: address of the service.
        count: number of batches.
    """
    return batches.apply(
        tf.data.experimental.service.distribute(
            tf.data.experimental.service.ShardingPolicy.DYNAMIC, address
        )
    ).apply(tf.data.experimental.assert_cardinality(count))


def random_example(
    split: VideoSplit, config: SamplingConfig, read, seed, number
):
    """Return training example `number`, a function of (seed, number) alone.

    Args:
        split: the videos.
        config: clip length, stride, scale, crop and augmentation.
        read: function from (row, frames, windows, size_px) to pixels and
            weight.
        seed: seed of the run.
        number: int64, from 0, counted through all epochs.

    Returns:
        uint8 clip `(time, height, width, 3)`, label, weight.
    """
    key, index = video_order.drawn_video(split, config, seed, number)
    own_key = tf.random.experimental.stateless_fold_in(key, index)
    draws = tf.random.stateless_uniform((5,), own_key)
    row = split.row(index)
    frames = _random_frames(draws[0], own_key, row, config)
    if config.crop_area is None:
        window = transforms.random_window(
            draws[1:],
            row["height"],
            row["width"],
            (config.min_short_side_px, config.max_short_side_px),
            config.crop_px,
            config.flip,
        )
    else:
        window = augmentation.resized_window(
            augmentation.draws_of(own_key, "window", 5),
            row["height"],
            row["width"],
            config.crop_area,
            config.crop_ratio,
            config.crop_px,
            config.flip,
        )
    size_px = tf.constant([config.crop_px] * 2)
    shown = _reversed_at_random(frames, own_key, config.reversal)
    pixels, weight = read(row, shown, window[None], size_px)
    pixels = tf.ensure_shape(
        pixels[0], (config.frames, config.crop_px, config.crop_px, 3)
    )
    if config.color_jitter:
        draws = tf.random.stateless_uniform(
            (2, 3), tf.random.experimental.stateless_fold_in(key, ~index)
        )
        pixels = transforms.jitter_colors(pixels, draws, config.color_jitter)
    pixels = augmentation.augmented(pixels, config, own_key)
    label = split.label(index, frames)
    if config.flip and config.flip_pairs:
        flipped = split.flipped(label, config.flip_pairs)
        label = tf.where(window[4] > 0.5, flipped, label)
    return pixels, label, weight


def _random_frames(draw, key, row: dict, config: SamplingConfig):
    """Draw the frames of a clip, from its start and its stride."""
    factor = None
    if config.time_jitter:
        factor = augmentation.stride_factor(
            augmentation.draws_of(key, "stride", 1)[0], config.time_jitter
        )
    return frame_sampling.random_clip(
        draw, row["frames"], row["fps"], config, row.get("edges_s"), factor
    )


def _reversed_at_random(frames, key, share: float):
    """Reverse the frames of a share of clips."""
    if not share:
        return frames
    is_reversed = augmentation.draws_of(key, "reversal", 1)[0] < share
    return tf.where(is_reversed, frames[::-1], frames)


def views_of(
    split: VideoSplit, config: SamplingConfig, read, views: ViewsConfig, index
):
    """Return the views of a video.

    Args:
        split: the videos.
        config: length and stride of a clip.
        read: as for `random_example`.
        views: clips and crops.
        index: index of the video in the split.

    Returns:
        uint8 `(clips * crops, time, height, width, 3)`, ordered by clip, then
        crop; and their weight.
    """
    row = split.row(index)
    frames = frame_sampling.clips(
        row["frames"], row["fps"], config, views, row.get("edges_s")
    )  # (clips, t)
    windows, size_px = windows_of(row["height"], row["width"], views)
    side = views.crop_px if views.crops else None
    pixels, weight = read(
        row, tf.reshape(frames, [-1]), windows, size_px
    )  # (crops, clips * t, h, w, 3)
    crops = max(views.crops, 1)
    length = config.frames
    shape = tf.concat([[crops, views.clips, length], size_px, [3]], 0)
    # Ordered by clip, then crop; TensorFlow warns about transposing uint8.
    pixels = tf.stack(
        [tf.reshape(pixels, shape)[crop] for crop in range(crops)], axis=1
    )
    shape = tf.concat([[views.clips * crops, length], size_px, [3]], 0)
    pixels = tf.reshape(pixels, shape)
    return (
        tf.ensure_shape(pixels, (views.clips * crops, length, side, side, 3)),
        weight,
    )


def windows_of(height, width, views: ViewsConfig):
    """Return the crop windows of views.

    Args:
        height: height of the frames in pixels, int32.
        width: width of the frames in pixels, int32.
        views: number and size of the crops.

    Returns:
        float64 windows `(crops, 5)`, or one of the whole frame; and the int32
        (height, width) of each, in pixels.
    """
    short = views.short_side_px
    if views.crops:
        windows = transforms.crop_windows(
            height, width, short, views.crop_px, views.crops
        )
        return windows, tf.constant([views.crop_px] * 2)
    window, size_px = transforms.whole_window(height, width, short)
    return window[None], size_px
