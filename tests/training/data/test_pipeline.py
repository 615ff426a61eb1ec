import numpy as np

from training.data import load_dataset
from training.data.pipeline import feed


def test_feed_normalises_and_keeps_order_labels_and_cardinality():
    batches = load_dataset("digits_recall").train_batches(3, 7, 0, 4)
    fed = feed(batches)
    assert fed.cardinality() == 4
    for (pixels, labels), (clips, same) in zip(batches, fed, strict=True):
        expected = (pixels.numpy().astype("float32") - 114.75) / 57.375
        np.testing.assert_allclose(clips, expected, rtol=1e-6)
        np.testing.assert_array_equal(labels, same)
