"""Training steps of all tasks, on any number of devices and machines.

Keras 3 computes a step right on one device. On several, its own clipping clips
each device's gradient before they are summed, and its gradient accumulation and
averaging fail. It does not support strategies of several machines, and neither
measures how long a step waits for data nor tells all workers of a preemption.
So the step is ours, and `fit` remains the loop.
"""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf

from .moving_average import WeightAverage


class TrainStep:
    """Mix-in of a `keras.Model` that computes its steps.

    Gradients of micro-batches and devices are summed, then clipped by their
    global norm. A subclass has `_micro_batches`, `_gradients`, `_end_step` and
    `test_step`.

    Attributes:
        average: moving average of the weights, or None.
        waited_s: seconds that steps waited for data, so far.
        stopping: number of processes that were asked to stop.
    """

    # Of the model.
    distribute_strategy: tf.distribute.Strategy
    jit_compile: bool
    optimizer: keras.optimizers.Optimizer
    trainable_variables: list
    get_metrics_result: Callable
    test_step: Callable

    def _prepare_steps(
        self,
        signals: "Signals",
        clip_norm: float | None = None,
        micro_batches: int = 1,
        ema_decay: float | None = None,
    ) -> None:
        """Set up steps; call it after `keras.Model.__init__`.

        Args:
            signals: created outside of the scope of a strategy.
            clip_norm: largest global norm of the gradient; None for none.
            micro_batches: of a device's share of a batch.
            ema_decay: of the moving average of the weights; None for none.
        """
        self._clip_norm = clip_norm
        self._micro_batch_count = micro_batches
        self.average = None
        if ema_decay is not None:
            self.average = WeightAverage(self.trainable_variables, ema_decay)
        self._collective = isinstance(
            self.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy
        )
        self._signals = signals
        self.train_function: Callable | None = None
        self.test_function: Callable | None = None

    @property
    def waited_s(self) -> float:
        return float(self._signals.waited.numpy())

    def train_step(self, data):
        """Train on a device's share of a batch; returns metrics."""
        context = tf.distribute.get_replica_context()
        variables = [variable.value for variable in self.trainable_variables]
        gradients = None
        for micro_batch in self._micro_batches(data):
            new = self._gradients(micro_batch, variables)
            gradients = new if gradients is None else _sum(gradients, new)
        # Keras checks on one device alone whether gradients are finite.
        scales = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        if self._clip_norm is not None or scales:
            gradients = context.all_reduce("SUM", gradients)
            factor = self._clip_factor(gradients)
            factor /= tf.cast(context.num_replicas_in_sync, tf.float32)
            gradients = [gradient * factor for gradient in gradients]
        self.optimizer.apply(gradients, self.trainable_variables)  # sums them
        self._end_step(context)
        return self.get_metrics_result()

    def _micro_batches(self, data) -> Iterable[Any]:
        """Split a device's share of a batch; for subclasses."""
        raise NotImplementedError

    def _gradients(self, micro_batch, variables) -> list:
        """Compute gradients of a micro-batch's share of the loss.

        For subclasses. The loss is scaled by the optimizer; metrics are
        updated.
        """
        raise NotImplementedError

    def _end_step(self, context) -> None:
        """Update what is no trainable weight; for subclasses."""

    def _clip_factor(self, gradients):
        """Return the factor that brings the global norm down to the limit."""
        if self._clip_norm is None:
            return tf.constant(1.0)
        limit = self.optimizer.scale_loss(tf.constant(self._clip_norm))
        return limit / tf.maximum(tf.linalg.global_norm(gradients), limit)

    def ask_to_stop(self) -> None:
        """Let `stopping` be above 0 after the next step, on all workers."""
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
        """Build a function of an iterator that runs a step on all devices."""
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
        """Return the next batch and count the seconds that it took."""
        if not self._signals.is_timed:
            return iterator.get_next()
        start = tf.timestamp()
        with tf.control_dependencies([start]):
            data = iterator.get_next()
        tensors = tf.nest.flatten(data, expand_composites=True)
        with tf.control_dependencies(tensors):
            waited_s = tf.timestamp() - start
        counted = self._signals.waited.assign_add(waited_s, read_value=False)
        # The step computes on copies that come after the count. Else a lone
        # thread between operations might read the clock after the step.
        with tf.control_dependencies([counted]):
            copies = [_identity(tensor) for tensor in tensors]
        return tf.nest.pack_sequence_as(data, copies, expand_composites=True)

    def _after_step(self, strategy) -> None:
        if self.average is not None:
            self.average.update(strategy)
        if self._collective:
            requested = self._signals.asked
            everyone = strategy.run(lambda: tf.identity(requested))
            self._signals.stopping.assign(
                strategy.reduce("SUM", everyone, axis=None)
            )


def _sum(first, second):
    return [a + b for a, b in zip(first, second, strict=True)]


def _identity(tensor):
    """A copy on the tensor's own device."""
    with tf.device(tensor.device):
        return tf.identity(tensor)


class Signals:
    """Variables of a process that are not weights of its model.

    Args:
        is_timed: whether the time that steps wait for data is measured.
            TensorFlow has no clock where its operations are deterministic.
    """

    def __init__(self, is_timed: bool = True):
        self.is_timed = is_timed
        with tf.device("CPU:0"):
            self.waited = tf.Variable(0.0, dtype=tf.float64)
            self.asked = tf.Variable(0)
            self.stopping = tf.Variable(0)
