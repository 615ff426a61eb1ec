"""Training step of a classification network, on any number of devices.

`_loss_tracker`, `_maybe_symbolic_build` and `_symbolic_build` are private names
of Keras: tests train on two devices and two processes.
"""

import functools
from collections.abc import Sequence

import keras
import tensorflow as tf

from . import classification_loss
from .train_step import Signals, TrainStep


class Trainer(TrainStep, keras.Model):
    """A functional model with a training step for classification.

    The loss is the weighted mean over the whole batch, over all its devices
    and micro-batches: an example of weight 0 counts nowhere. Classes may have
    weights in the loss of training; other metrics, and validation, have none.

    Args:
        model: the network, to logits; its layers are shared.
        signals: created outside of the scope of a strategy.
        multi_label: whether labels are a 0 or 1 for each class.
        label_smoothing: share of each label that goes to all classes.
        clip_norm: largest global norm of the gradient; None for none.
        micro_batches: of a device's share of a batch.
        ema_decay: of the moving average of the weights; None for none.
        class_weights: of examples by their class; None for 1.
        focal_gamma: of the focal loss of several labels.

    Attributes:
        average: moving average of the weights, or None.
    """

    def __init__(
        self,
        model: keras.Model,
        signals: Signals,
        multi_label: bool = False,
        label_smoothing: float = 0.0,
        clip_norm: float | None = None,
        micro_batches: int = 1,
        ema_decay: float | None = None,
        class_weights: Sequence[float] | None = None,
        focal_gamma: float = 0.0,
    ):
        super().__init__(model.input, model.output, name=model.name)
        # The model's own call may checkpoint gradients.
        self._network = functools.partial(model, training=True)
        self._smoothing = label_smoothing
        self._class_weights = (
            None if class_weights is None else list(class_weights)
        )
        self._focal_gamma = focal_gamma
        self._multi_label = multi_label
        self._prepare_steps(signals, clip_norm, micro_batches, ema_decay)

    def _micro_batches(self, data):
        x, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        if weights is None:
            weights = tf.ones(tf.shape(labels)[:1])
        loss_weights = weights
        if self._class_weights is not None:
            of_class = tf.constant(self._class_weights, tf.float32)
            loss_weights = weights * (
                tf.linalg.matvec(tf.cast(labels, tf.float32), of_class)
                if self._is_mixture(labels)
                else tf.gather(of_class, labels)
            )
        context = tf.distribute.get_replica_context()
        total = context.all_reduce("SUM", tf.reduce_sum(loss_weights))
        arrays = (x, labels, weights, loss_weights)
        if self._micro_batch_count == 1:
            return [(*arrays, total)]
        parts = [tf.split(array, self._micro_batch_count) for array in arrays]
        return [(*part, total) for part in zip(*parts, strict=True)]

    def _gradients(self, micro_batch, variables):
        x, labels, weights, loss_weights, total = micro_batch
        with tf.GradientTape() as tape:
            logits = self._network(x)
            losses = classification_loss.example_losses(
                labels,
                logits,
                self._smoothing,
                self._focal_gamma,
                self._is_mixture(labels),
            )
            summed = tf.reduce_sum(losses * loss_weights)
            loss = tf.math.divide_no_nan(summed, total)
            scaled = self.optimizer.scale_loss(loss)
        if self._is_mixture(labels):
            labels = tf.argmax(labels, axis=-1)  # the larger share, in metrics
        self._update_metrics(labels, logits, weights, summed, loss_weights)
        return tape.gradient(scaled, variables)

    def _is_mixture(self, labels) -> bool:
        """Return whether labels are shares of classes, as of mixup."""
        return labels.shape.rank == 2 and not self._multi_label

    def test_step(self, data):
        """Validate a device's share of a batch; returns metrics."""
        x, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        if weights is None:
            weights = tf.ones(tf.shape(labels)[:1])
        logits = self(x, training=False)
        losses = classification_loss.example_losses(labels, logits)
        summed = tf.reduce_sum(losses * weights)
        self._update_metrics(labels, logits, weights, summed, weights)
        return self.get_metrics_result()

    def _update_metrics(
        self, labels, logits, weights, summed_loss, loss_weights
    ):
        count = tf.reduce_sum(loss_weights)
        self._loss_tracker.update_state(
            tf.math.divide_no_nan(summed_loss, count), sample_weight=count
        )
        for metric in self.metrics:
            if metric is not self._loss_tracker:
                metric.update_state(labels, logits, sample_weight=weights)

    def _end_step(self, context) -> None:
        """Average the statistics of batch normalization over devices.

        A checkpoint, which has one set of them, then has all their state.
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

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Create the variables of metrics, which must be outside of a graph."""
        del iterator, data_batch
        classes = self.output_shape[-1]
        labels = tf.zeros((2,), tf.int64)
        if self._multi_label:
            labels = tf.zeros((2, classes))
        x = tf.zeros((2, *(side or 16 for side in self.input_shape[1:])))
        with self.distribute_strategy.scope():
            self._symbolic_build(data_batch=(x, labels, tf.ones((2,))))
