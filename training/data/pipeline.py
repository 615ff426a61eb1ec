"""From a dataset's batches to what a model is fed."""

import tensorflow as tf

from nonlocal_tf import preprocess


def feed(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Normalises pixels and keeps batches ready ahead of the device.

    Pixels stay uint8 until here, a quarter of the bytes. Order is kept, since
    evaluation and resumption count on it; four batches cover the odd slow one.
    """
    return batches.map(
        lambda pixels, *rest: (preprocess.normalize(pixels), *rest),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    ).prefetch(4)
