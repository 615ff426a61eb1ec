"""Clips from shards of JPEG frames: the fast way, and one for clusters.

A clip costs its JPEGs, of which only the part is decoded that its windows
show. Reading is made of TensorFlow's operations alone.
"""

import tensorflow as tf

from training.data import sequence_examples, shard_index, tfrecords, transforms
from training.data.listing import Video
from training.data.sources import Probe, Source, VideoError


class Records(Source):
    """Reads TFRecord shards of SequenceExamples with MediaSequence's keys."""

    tf_ops = True

    def __init__(self):
        self._indices = shard_index.Indices()

    def probe(self, video: Video) -> Probe:
        known = self._indices.record(video.path, video.offset)
        if known is not None:
            return Probe(known.frames, known.height, known.width, known.fps)
        return sequence_examples.probe_of(read_record(video))

    def fields(self, video: Video) -> dict[str, str | int]:
        return {"path": video.path, "offset": video.offset}

    def read(self, fields, frames, windows, size_px):
        offset = tf.cast(fields["offset"], tf.int64)
        _, lists = tf.io.parse_single_sequence_example(
            tfrecords.record_at(fields["path"], offset),
            sequence_features={
                sequence_examples.FRAMES: tf.io.FixedLenSequenceFeature(
                    (), tf.string
                )
            },
        )
        jpegs = lists[sequence_examples.FRAMES]
        shape = tf.io.extract_jpeg_shape(jpegs[0])
        rectangle, moved = covering(shape[0], shape[1], windows, size_px)
        # Clips of a test overlap; each frame is decoded once.
        last = tf.shape(jpegs, tf.int64)[0] - 1
        distinct, places = tf.unique(tf.minimum(frames, last))

        def take(jpeg):
            frame = tf.image.decode_and_crop_jpeg(jpeg, rectangle, channels=3)
            return transforms.resample(frame[None], moved, size_px)[:, 0]

        # A frame at a time stays in the processor's cache.
        clip = tf.map_fn(
            take, tf.gather(jpegs, distinct), fn_output_signature=tf.uint8
        )  # (distinct, w, h, w, 3)
        return tf.transpose(tf.gather(clip, places), [1, 0, 2, 3, 4])


def covering(height, width, windows, size_px):
    """The part of a frame that windows show.

    Args:
        height: of the frame, in pixels, int32.
        width: of the frame, in pixels, int32.
        windows: float64 `(w, 5)`.
        size_px: int32 (height, width) of each window.

    Returns:
        int32 (top, left, height, width) of the part, and the windows in it.
        What of a window lies beyond an edge of the frame lies beyond the
        part's edge there.
    """
    top, low = _extent(size_px[0], windows[:, 0], windows[:, 2], height)
    left, right = _extent(size_px[1], windows[:, 1], windows[:, 3], width)
    # A JPEG cut at a column has other colours there, and only there: they are
    # interpolated from half as many, and the next one is cut off.
    left, right = tf.maximum(left - 1, 0), tf.minimum(right + 1, width - 1)
    part = tf.stack([top, left, low - top + 1, right - left + 1])
    shift = tf.stack(
        [
            tf.cast(top, tf.float64) / windows[:, 2],
            tf.cast(left, tf.float64) / windows[:, 3],
        ],
        axis=1,
    )
    moved = tf.concat([windows[:, :2] - shift, windows[:, 2:]], axis=1)
    return part, moved


def read_record(video: Video) -> tf.train.SequenceExample:
    """The whole record of a video.

    Raises:
        VideoError: it cannot be read.
    """
    try:
        offset = tf.constant(video.offset, tf.int64)
        record = tfrecords.record_at(video.path, offset).numpy()
    except tf.errors.OpError as error:
        raise VideoError(
            f"the record at byte {video.offset} cannot be read: {error.message}"
        ) from error
    return sequence_examples.parse(record)


def _extent(size, offsets, scales, length):
    """First and last pixel along a side that any window needs."""
    last = tf.cast(length - 1, tf.float64)

    def place(pixel):
        pixel = tf.cast(pixel, tf.float64)
        found = (pixel + offsets + 0.5) * scales - 0.5
        return tf.cast(tf.floor(tf.clip_by_value(found, 0.0, last)), tf.int32)

    first = tf.reduce_min(place(0))
    return first, tf.minimum(tf.reduce_max(place(size - 1)) + 1, length - 1)
