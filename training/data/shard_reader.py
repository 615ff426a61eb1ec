"""Read clips from TFRecord shards of JPEG frames.

The fastest storage, and one for clusters: only the frames of a clip are
decoded, only within its crop windows, by TensorFlow operations.
"""

import tensorflow as tf

from . import jpeg_crops, sequence_examples, shard_index, tfrecords
from .clip_reader import ClipReader, Probe, VideoError
from .manifest import Video


class ShardReader(ClipReader):
    """Reads TFRecord shards of SequenceExamples with MediaSequence's keys."""

    tf_ops = True

    def __init__(self):
        self._indices = shard_index.ShardIndexReader()

    def probe(self, video: Video) -> Probe:
        record = self._indices.record(video.path, video.offset)
        if record is not None:
            return shard_index.probe_of(record)
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
        shape = tf.io.extract_jpeg_shape(jpegs[0])[:2]
        last = tf.shape(jpegs, tf.int64)[0] - 1
        return jpeg_crops.read_windows(
            lambda number: jpegs[number],
            tf.minimum(frames, last),
            shape,
            windows,
            size_px,
        )


def read_record(video: Video) -> tf.train.SequenceExample:
    """Read the whole record of a video.

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
