"""Number the epochs of training batches that `model.fit` iterates over.

Each iteration over `Dataset.batches("train", ...)` is an epoch. Its number is
counted in Python, because a `tf.Variable` created in the scope of a strategy
would be mirrored.
"""

import functools
import sys
import threading
import types
import weakref

import numpy as np
import tensorflow as tf

# Method of `keras.Model` that reads a batch to build a model under a strategy.
SYMBOLIC_BUILD = "_maybe_symbolic_build"


class EpochCounter:
    """Counts the iterations over a dataset; thread-safe.

    Args:
        batch_size: examples per batch.
        seed: seed of order and augmentation.

    Attributes:
        arguments: batch size and seed, as text.
        next_epoch: number of the next iteration, from 0.
    """

    def __init__(self, batch_size: int, seed: int):
        self.arguments = f"batch_size={batch_size}, seed={seed}"
        self.next_epoch = 0
        self._lock = threading.Lock()

    def begin(self) -> np.int64:
        """Return the number of an iteration that begins, and count it.

        Under a strategy, `fit` begins with an iteration of one batch to build
        the model. That one is not counted, so epoch 0 of `fit` is epoch 0.
        """
        with self._lock:
            epoch = self.next_epoch
            if not _is_building_model():
                self.next_epoch += 1
            return np.int64(epoch)

    def steps(self, steps_per_epoch: int) -> tf.data.Dataset:
        """Return the numbers of the training steps of the next epoch, int64.

        Each iteration counts as an epoch.
        """

        def epoch_steps(_):
            epoch = tf.numpy_function(lambda _: self.begin(), [0], tf.int64)
            first = tf.ensure_shape(epoch, ()) * steps_per_epoch
            return tf.data.Dataset.range(first, first + steps_per_epoch)

        return (
            tf.data.Dataset.from_tensors(0)
            .flat_map(tf.autograph.experimental.do_not_convert(epoch_steps))
            .apply(tf.data.experimental.assert_cardinality(steps_per_epoch))
        )


class NumberedEpochs:
    """Mix-in of data whose training batches are numbered by epoch."""

    def count_epochs(self, batch_size: int, seed: int) -> EpochCounter:
        """Return a counter for new training batches."""
        counter = EpochCounter(batch_size, seed)
        self._epoch_counters.add(counter)
        return counter

    @functools.cached_property
    def _epoch_counters(self) -> weakref.WeakSet:
        """Counters of the training batches that are in use."""
        return weakref.WeakSet()

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration over training batches be an epoch.

        It applies to all training batches created so far by `batches`, and is
        needed only to resume training:

        >>> train = videos.batches("train", 8)
        >>> videos.set_epoch(3)
        >>> model.fit(train, initial_epoch=3, epochs=10)

        Args:
            epoch: number of the epoch, from 0.
        """
        for counter in list(self._epoch_counters):
            counter.next_epoch = epoch

    def begun_batches(self, epoch: int) -> str:
        """Describe the training batches whose iteration has begun.

        Args:
            epoch: number of the epoch that `set_epoch` has set.

        Returns:
            "batch_size=8, seed=0", of several sorted and joined by " and ";
            "" if none has begun.
        """
        counters = list(self._epoch_counters)
        return " and ".join(
            sorted({c.arguments for c in counters if c.next_epoch > epoch})
        )


def _is_building_model() -> bool:
    """Return whether a thread of this process reads a batch to build a model.

    The thread waits for the batch, so the answer does not depend on timing.
    """
    for frame in sys._current_frames().values():
        caller: types.FrameType | None = frame
        while caller is not None:
            if caller.f_code.co_name == SYMBOLIC_BUILD:
                return True
            caller = caller.f_back
    return False
