"""Waiting for data is timed before a step computes."""

import numpy as np
import tensorflow as tf

from tests.training.loop.linear_trainer import LABELS, X, make
from tests.training.loop.step_graph import ancestors, operations


def test_a_step_computes_after_its_wait_was_counted():
    batches = tf.data.Dataset.from_tensors((X, LABELS))
    count, products = operations(make(), batches)
    assert products
    for product in products:
        assert count in ancestors(product)


def test_nested_and_ragged_batches_pass_the_count():
    trainer = make()
    lengths = tf.RaggedTensor.from_row_lengths([3.0, 5.0, 7.0], [1, 0, 2])
    sparse = tf.sparse.from_dense([[0, 11], [0, 0], [13, 0]])
    batch = {"a": (X, [LABELS]), "ragged": lengths, "sparse": sparse}
    iterator = iter(tf.data.Dataset.from_tensors(batch))
    got = tf.function(lambda: trainer._next(iterator))()
    np.testing.assert_array_equal(got["a"][0], X)
    np.testing.assert_array_equal(got["a"][1][0], LABELS)
    assert got["ragged"].to_list() == lengths.to_list()
    np.testing.assert_array_equal(
        tf.sparse.to_dense(got["sparse"]), tf.sparse.to_dense(sparse)
    )
