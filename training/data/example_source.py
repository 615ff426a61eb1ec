"""Random access to the examples of a data set, without `tf.data`."""

import operator
from collections.abc import Callable
from typing import SupportsIndex

import numpy as np
import tensorflow as tf


class ExampleSource:
    """A sequence of (uint8 pixels, label), read when an item is accessed.

    It can be the data source of a Grain pipeline, or be read by a
    `keras.utils.PyDataset` or by threads.

    Args:
        example: function of an int64 number to pixels and label.
        length: number of examples.
        first: number of the first example.
    """

    def __init__(self, example: Callable, length: int, first: int = 0):
        self._example = tf.function(
            example,
            input_signature=[tf.TensorSpec((), tf.int64)],
            autograph=False,
        )
        self._length = length
        self._first = first

    def __len__(self) -> int:
        return self._length

    def __getitem__(
        self, index: SupportsIndex
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read an example; negative indices count from the end.

        Returns:
            uint8 `(time, height, width, 3)`, or `(height, width, 3)` of
            images; and the integer class index, or float32 multi-hot labels
            `(classes,)`.

        Raises:
            IndexError: the index is out of range.
        """
        number = operator.index(index)
        if not -self._length <= number < self._length:
            raise IndexError(
                f"Expected an index below {self._length}. Received: {number}"
            )
        position = self._first + number % self._length
        pixels, label = self._example(tf.constant(position, tf.int64))
        return pixels.numpy(), label.numpy()
