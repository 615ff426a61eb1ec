"""What `fit` calls for each step, on any number of devices and machines.

Keras' own does not know strategies of several machines, and neither counts how
long a step waits for data nor tells all workers of a stop.
"""

from collections.abc import Callable

import tensorflow as tf


class Steps:
    """A part of a `keras.Model` that has `train_step` and `test_step`.

    Attributes:
        waited_s: seconds that steps waited for data, so far.
        stopping: how many processes were asked to stop.
    """

    # Of the model.
    distribute_strategy: tf.distribute.Strategy
    jit_compile: bool
    train_step: Callable
    test_step: Callable

    def _prepare_steps(self, signals: "Signals") -> None:
        """To be called once the model is one.

        Args:
            signals: made outside of the scope of a strategy.
        """
        self._collective = isinstance(
            self.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy
        )
        self._signals = signals
        self.train_function: Callable | None = None
        self.test_function: Callable | None = None

    @property
    def waited_s(self) -> float:
        return float(self._signals.waited.numpy())

    def ask_to_stop(self) -> None:
        """Lets `stopping` be above 0 after the next step, on all workers."""
        self._signals.asked.assign(1)

    @property
    def stopping(self) -> int:
        signals = self._signals
        own = signals.stopping if self._collective else signals.asked
        return int(own.numpy())

    def make_train_function(self, force=False):
        if self.train_function is None or force:
            self.train_function = self._one_step(self.train_step, True)
        return self.train_function

    def make_test_function(self, force=False):
        if self.test_function is None or force:
            self.test_function = self._one_step(self.test_step, False)
        return self.test_function

    def _one_step(self, step, is_training):
        """A function of an iterator that runs a step on all devices."""
        strategy = self.distribute_strategy

        def on_data(data):
            logs = strategy.run(step, args=(data,))
            return {
                name: strategy.reduce("MEAN", value, axis=None)
                for name, value in logs.items()
            }

        on_data = tf.autograph.experimental.do_not_convert(on_data)
        if self.jit_compile:
            on_data = tf.function(on_data, jit_compile=True)

        def on_iterator(iterator):
            data = self._next(iterator) if is_training else next(iterator)
            logs = on_data(data)
            if is_training:
                self._after_step(strategy)
            return logs

        return tf.function(on_iterator, reduce_retracing=True, autograph=False)

    def _next(self, iterator):
        """The next batch; how long that took is counted."""
        if not self._signals.is_timed:
            return iterator.get_next()
        began = tf.timestamp()
        with tf.control_dependencies([began]):
            data = iterator.get_next()
        tensors = tf.nest.flatten(data, expand_composites=True)
        with tf.control_dependencies(tensors):
            waited_s = tf.timestamp() - began
        counted = self._signals.waited.assign_add(waited_s, read_value=False)
        # The step computes on copies that come after the count. Else a lone
        # thread between operations might read the clock after the step.
        with tf.control_dependencies([counted]):
            copies = [_identity(tensor) for tensor in tensors]
        return tf.nest.pack_sequence_as(data, copies, expand_composites=True)

    def _after_step(self, strategy) -> None:
        if self._collective:
            asked = self._signals.asked
            everyone = strategy.run(lambda: tf.identity(asked))
            self._signals.stopping.assign(
                strategy.reduce("SUM", everyone, axis=None)
            )


def _identity(tensor):
    """A copy on the tensor's own device."""
    with tf.device(tensor.device):
        return tf.identity(tensor)


class Signals:
    """Variables of a process that are no weights of its model.

    Args:
        is_timed: whether it is counted how long steps wait for data.
            TensorFlow has no clock where its operations are deterministic.
    """

    def __init__(self, is_timed: bool = True):
        self.is_timed = is_timed
        with tf.device("CPU:0"):
            self.waited = tf.Variable(0.0, dtype=tf.float64)
            self.asked = tf.Variable(0)
            self.stopping = tf.Variable(0)
