"""Training step of a detector, on any number of devices."""

import re

import keras
import tensorflow as tf

from nonlocal_tf.detection import MaskRCNN, TargetSamplingConfig, batch_losses

from ..io.user_error import UserError
from .train_step import Signals, TrainStep

# What transfer from ImageNet leaves as it is, as in Detectron.
FROZEN = ("conv1", "res2")
# How TensorFlow's errors end that are of Python functions in a data set.
WRAPPED = re.compile(
    rf"^{UserError.__module__}\.{UserError.__name__}: (.+?)\n\s*\[\[",
    re.DOTALL | re.MULTILINE,
)


class DetectorTrainer(TrainStep, keras.Model):
    """A detector with a training step on batches of `training.coco.batches`.

    Each loss is divided by the number of anchors, boxes or keypoints sampled
    from a batch, over all devices; the samples of an image are a function of
    its own seed. So a step is the same on one device and on many. Micro-batches
    have the counts of their own samples, and their losses are averaged.

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
        self._means = {
            name: keras.metrics.Mean(name) for name in _names(detector)
        }
        self.built = True
        self._prepare_steps(signals, clip_norm, micro_batches, ema_decay)

    @property
    def metrics(self):
        return list(self._means.values())

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
            losses = self._batch_losses(micro_batch)
            loss = tf.add_n(list(losses.values()))
            if self._micro_batch_count > 1:
                loss /= self._micro_batch_count
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, variables)
        self._update_metrics(losses)
        return gradients

    def test_step(self, data):
        """Compute the losses of a batch, of samples with its seeds."""
        self._update_metrics(self._batch_losses(data))
        return self.get_metrics_result()

    def _batch_losses(self, data):
        batch = dict(data)
        seeds = batch.pop("seeds")
        return batch_losses(self.detector, batch, self._config, seeds, _total)

    def _update_metrics(self, losses):
        """Update the means by this device's share of the losses."""
        losses = {"loss": tf.add_n(list(losses.values())), **losses}
        for name, value in losses.items():
            self._means[name].update_state(_total(value))

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Do nothing: all variables exist already."""


def _total(value):
    """Sum a value over all devices."""
    return tf.distribute.get_replica_context().all_reduce("SUM", value)


def _names(detector: MaskRCNN) -> list[str]:
    names = ["loss", "objectness", "rpn_boxes", "classes", "boxes"]
    names += ["masks"] * (detector.mask_head is not None)
    return names + ["keypoints"] * (detector.keypoint_head is not None)


def freeze(detector: MaskRCNN, stages: tuple[str, ...] = FROZEN) -> None:
    """Freeze stages of the backbone.

    Args:
        detector: the detector.
        stages: names such as "conv1" and "res2"; `()` freezes none.

    Raises:
        ValueError: a stage does not exist.
    """
    for stage in stages:
        layers = [
            layer
            for layer in detector.pyramid.layers
            if layer.name.split("_")[0] == stage
        ]
        if not layers:
            raise ValueError(
                f"The backbone has no stage {stage!r}. Expected conv1, res2, "
                "res3, res4 or res5."
            )
        for layer in layers:
            layer.trainable = False
