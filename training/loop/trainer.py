"""A network whose `fit` does what a recipe says, on any number of devices.

Keras 3 computes a step right on one device. On several, its own clipping
clips each device's gradient before they are added up, and its accumulation and
averaging fail. So the step is ours, and `fit` remains the loop.
`_loss_tracker`, `_maybe_symbolic_build` and `_symbolic_build` are names of
Keras that are not public: tests train on two devices and two processes.
"""

import keras
import tensorflow as tf

from ..recipes.schema import Recipe
from . import classification_loss
from .train_step import Signals, Steps


class Trainer(Steps, keras.Model):
    """A functional model with the training step of a recipe.

    The loss is the mean over the whole batch, over all devices and parts of
    it, and weighted, so that an example of weight 0 counts nowhere. Gradients
    are summed, then clipped by the norm of all of them.

    Args:
        model: the network, to logits; its layers are shared.
        recipe: how it is trained.
        signals: made outside of the scope of a strategy.
        multi_label: whether labels are a 0 or 1 for each class.

    Attributes:
        average: moving average of the weights, or None.
    """

    def __init__(
        self,
        model: keras.Model,
        recipe: Recipe,
        signals: Signals,
        multi_label: bool = False,
    ):
        super().__init__(model.input, model.output, name=model.name)
        self._clip_norm = recipe.optimizer.clip_norm
        self._smoothing = recipe.training.label_smoothing
        self._parts = recipe.training.micro_batches
        self._multi_label = multi_label
        decay = recipe.training.ema_decay
        self.average = None
        if decay is not None:
            self.average = MovingAverage(self.trainable_variables, decay)
        self._prepare_steps(signals)

    def train_step(self, data):
        """One step on a device's part of a batch; returns metrics."""
        x, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        if weights is None:
            weights = tf.ones(tf.shape(labels)[:1])
        context = tf.distribute.get_replica_context()
        total = context.all_reduce("SUM", tf.reduce_sum(weights))
        variables = [variable.value for variable in self.trainable_variables]
        gradients = None
        for part in self._split(x, labels, weights):
            new = self._gradients(part, total, variables)
            gradients = new if gradients is None else _added(gradients, new)
        # Keras looks for numbers that are none on one device alone.
        scales = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        if self._clip_norm is not None or scales:
            gradients = context.all_reduce("SUM", gradients)
            factor = self._clip_factor(gradients)
            factor /= tf.cast(context.num_replicas_in_sync, tf.float32)
            gradients = [gradient * factor for gradient in gradients]
        self.optimizer.apply(gradients, self.trainable_variables)  # sums them
        self._share_statistics(context)
        return self.get_metrics_result()

    def _split(self, *arrays):
        if self._parts == 1:
            return [arrays]
        parts = [tf.split(array, self._parts) for array in arrays]
        return zip(*parts, strict=True)

    def _gradients(self, part, total, variables):
        """Of this part's share of the mean loss; updates the metrics."""
        x, labels, weights = part
        with tf.GradientTape() as tape:
            logits = self(x, training=True)
            each = classification_loss.example_losses(
                labels, logits, self._smoothing
            )
            summed = tf.reduce_sum(each * weights)
            loss = tf.math.divide_no_nan(summed, total)
            scaled = self.optimizer.scale_loss(loss)
        self._update_metrics(labels, logits, weights, summed)
        return tape.gradient(scaled, variables)

    def test_step(self, data):
        """One step of a validation on a device's part of a batch."""
        x, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        if weights is None:
            weights = tf.ones(tf.shape(labels)[:1])
        logits = self(x, training=False)
        each = classification_loss.example_losses(labels, logits)
        summed = tf.reduce_sum(each * weights)
        self._update_metrics(labels, logits, weights, summed)
        return self.get_metrics_result()

    def _update_metrics(self, labels, logits, weights, summed_loss):
        count = tf.reduce_sum(weights)
        self._loss_tracker.update_state(
            tf.math.divide_no_nan(summed_loss, count), sample_weight=count
        )
        for metric in self.metrics:
            if metric is not self._loss_tracker:
                metric.update_state(labels, logits, sample_weight=weights)

    def _clip_factor(self, gradients):
        """What brings the norm of all of them down to its limit."""
        if self._clip_norm is None:
            return tf.constant(1.0)
        limit = self.optimizer.scale_loss(tf.constant(self._clip_norm))
        return limit / tf.maximum(tf.linalg.global_norm(gradients), limit)

    def _share_statistics(self, context) -> None:
        """Averages over devices what each has seen of its part of a batch.

        So a checkpoint, which has one set of them, has all there is.
        """
        variables = [
            variable
            for layer in self._flatten_layers()
            if isinstance(layer, keras.layers.BatchNormalization)
            and not layer.synchronized
            for variable in (layer.moving_mean, layer.moving_variance)
        ]
        if context.num_replicas_in_sync == 1 or not variables:
            return
        flat = tf.concat([variable.value for variable in variables], axis=0)
        sizes = [variable.shape[0] for variable in variables]
        means = tf.split(context.all_reduce("MEAN", flat), sizes)
        for variable, mean in zip(variables, means, strict=True):
            variable.assign(mean)

    def _after_step(self, strategy) -> None:
        if self.average is not None:
            self.average.update(strategy)
        super()._after_step(strategy)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Makes the variables of metrics; outside of a graph, as they must."""
        del iterator, data_batch
        classes = self.output_shape[-1]
        labels = tf.zeros((2,), tf.int64)
        if self._multi_label:
            labels = tf.zeros((2, classes))
        x = tf.zeros((2, *(side or 16 for side in self.input_shape[1:])))
        with self.distribute_strategy.scope():
            self._symbolic_build(data_batch=(x, labels, tf.ones((2,))))


class MovingAverage:
    """Exponential moving average of variables, in float32.

    Args:
        variables: trainable ones of Keras.
        decay: share of the old average that remains at each update.
    """

    def __init__(self, variables, decay: float):
        self._of = [variable.value for variable in variables]
        self._decay = decay
        self.variables = [
            tf.Variable(tf.convert_to_tensor(value), trainable=False)
            for value in self._of
        ]

    def update(self, strategy) -> None:
        """After a step, outside of what each device computes."""

        def move(average, new):
            average.assign_add((1 - self._decay) * (new - average))

        for average, new in zip(self.variables, self._of, strict=True):
            strategy.extended.update(average, move, args=(new,))

    def set(self, values) -> None:
        """Begins anew from these values."""
        for average, value in zip(self.variables, values, strict=True):
            average.assign(keras.ops.convert_to_numpy(value))

    def swap(self) -> None:
        """Exchanges the average and the variables."""
        for average, own in zip(self.variables, self._of, strict=True):
            before = own.numpy()
            own.assign(average.numpy())
            average.assign(before)


def _added(first, second):
    return [a + b for a, b in zip(first, second, strict=True)]
