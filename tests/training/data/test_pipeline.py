import numpy as np
import tensorflow as tf

from training.data import load_dataset
from training.data.pipeline import feed, padded


def test_feed_normalises_and_keeps_order_labels_and_cardinality():
    batches = load_dataset("digits_recall").train_batches(3, 7, 0, 4)
    fed = feed(batches)
    assert fed.cardinality() == 4
    for (pixels, labels), (clips, same) in zip(batches, fed, strict=True):
        expected = (pixels.numpy().astype("float32") - 114.75) / 57.375
        np.testing.assert_allclose(clips, expected, rtol=1e-6)
        np.testing.assert_array_equal(labels, same)


def test_what_fills_a_batch_for_all_devices_weighs_nothing():
    clips, labels = np.arange(1.0, 7.0).reshape(3, 2), np.array([7, 8, 9])
    batches = tf.data.Dataset.from_tensors((clips, labels))
    ((clips, labels, weights),) = padded(batches, 2)
    assert clips.numpy().tolist() == [[1, 2], [3, 4], [5, 6], [0, 0]]
    assert labels.numpy().tolist() == [7, 8, 9, 0]
    assert weights.numpy().tolist() == [1, 1, 1, 0]
