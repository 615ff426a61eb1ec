"""Records as other programs write them: TensorFlow alone, none of our code."""

import numpy as np
import tensorflow as tf


def pictures(count, height, width, seed=0):
    """Smooth uint8 pictures, which JPEG keeps the colours of."""
    rng = np.random.default_rng(seed)
    rough = rng.uniform(0, 255, (count, 5, 7, 3)).astype(np.float32)
    smooth = tf.image.resize(rough, (height, width), "bicubic")
    noise = rng.normal(0, 9, (count, height, width, 3))
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)


def jpegs(count=5, height=37, width=53, seed=0):
    return [
        tf.io.encode_jpeg(picture, quality=90).numpy()
        for picture in pictures(count, height, width, seed)
    ]


def example(frames, times=(), **context):
    """A record; keywords are keys of the context, with __ for /."""
    record = tf.train.SequenceExample()
    lists = record.feature_lists.feature_list
    for frame in frames:
        lists["image/encoded"].feature.add().bytes_list.value.append(frame)
    for time in times:
        lists["image/timestamp"].feature.add().int64_list.value.append(time)
    for key, values in context.items():
        feature = record.context.feature[key.replace("__", "/")]
        if isinstance(values[0], bytes):
            feature.bytes_list.value.extend(values)
        elif isinstance(values[0], float):
            feature.float_list.value.extend(values)
        else:
            feature.int64_list.value.extend(values)
    return record.SerializeToString()


def write(path, contents):
    """A shard of such records; their offsets."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for content in contents:
            writer.write(content)
    sizes = [len(content) + 16 for content in contents]
    return [sum(sizes[:number]) for number in range(len(sizes))]
