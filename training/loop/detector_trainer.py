"""Training step of a detector, on any number of devices."""

import re

import keras
import tensorflow as tf

from nonlocal_tf.detection import MaskRCNN, TargetSamplingConfig
from nonlocal_tf.detection.global_losses import LossMeans, global_losses

from ..io.user_error import UserError
from .train_step import Signals, TrainStep

# How TensorFlow's errors end that are of Python functions in a data set.
WRAPPED = re.compile(
    rf"^{UserError.__module__}\.{UserError.__name__}: (.+?)\n\s*\[\[",
    re.DOTALL | re.MULTILINE,
)


class DetectorTrainer(TrainStep, keras.Model):
    """A detector with a training step on batches of `training.coco.batches`.

    Its losses are those of `MaskRCNN.fit`. Micro-batches have the counts of
    their own samples, and their losses are averaged.

    Args:
        detector: created under the scope of the strategy.
        config: matching and sampling of anchors and proposals.
        signals: created outside of the scope of a strategy.
        clip_norm: largest global norm of the gradient; None for none.
        micro_batches: of a device's share of a batch.
        ema_decay: of the moving average of the weights; None for none.

    Attributes:
        average: moving average of the weights, or None.
    """

    def __init__(
        self,
        detector: MaskRCNN,
        config: TargetSamplingConfig,
        signals: Signals,
        clip_norm: float | None = None,
        micro_batches: int = 1,
        ema_decay: float | None = None,
    ):
        super().__init__(name="trainer")
        self.detector = detector
        self._config = config
        self._loss_means = LossMeans(detector)
        self.built = True
        self._prepare_steps(signals, clip_norm, micro_batches, ema_decay)

    @property
    def metrics(self):
        return self._loss_means.metrics

    def call(self, inputs):
        return self.detector(inputs)

    def fit(self, *args, **options):
        """Train as `keras.Model.fit` does.

        Raises:
            UserError: an image cannot be read, or does not fit its
                annotations.
        """
        try:
            return super().fit(*args, **options)
        except tf.errors.OpError as error:
            match = WRAPPED.search(error.message)
            if match is None:
                raise
            raise UserError(match[1].strip()) from error

    def _micro_batches(self, data):
        count = self._micro_batch_count
        if count == 1:
            return [data]
        parts = {name: tf.split(array, count) for name, array in data.items()}
        return [
            {name: arrays[index] for name, arrays in parts.items()}
            for index in range(count)
        ]

    def _gradients(self, micro_batch, variables):
        with tf.GradientTape() as tape:
            losses = global_losses(self.detector, micro_batch, self._config)
            loss = tf.add_n(list(losses.values()))
            if self._micro_batch_count > 1:
                loss /= self._micro_batch_count
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, variables)
        self._loss_means.update(losses)
        return gradients

    def test_step(self, data):
        """Compute the losses of a batch, of samples with its seeds."""
        losses = global_losses(self.detector, data, self._config)
        self._loss_means.update(losses)
        return self.get_metrics_result()

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Do nothing: all variables exist already."""
