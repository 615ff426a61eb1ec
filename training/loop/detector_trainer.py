"""A detector whose `fit` trains it, on any number of devices."""

import re

import keras
import tensorflow as tf

from nonlocal_tf.detection import MaskRCNN, TrainingConfig, batch_losses

from ..io.user_error import UserError
from .train_step import Signals, Steps

# What transfer from ImageNet leaves as it is, as in Detectron.
FROZEN = ("conv1", "res2")
# How TensorFlow's errors end that are of Python functions in a data set.
WRAPPED = re.compile(
    rf"^{UserError.__module__}\.{UserError.__name__}: (.+?)\n\s*\[\[",
    re.DOTALL | re.MULTILINE,
)


class DetectorTrainer(Steps, keras.Model):
    """Trains a detector on batches of `training.coco.batches`.

    Sums are divided by what the whole batch has, over all devices: anchors,
    boxes and keypoints that were sampled. What is sampled of a picture is a
    function of its own seed. So a batch is trained alike on one device and on
    many.

    Args:
        detector: to be trained; made under the scope of the strategy.
        config: what is an example.
        signals: made outside of the scope of a strategy.
    """

    def __init__(
        self,
        detector: MaskRCNN,
        config: TrainingConfig,
        signals: Signals,
    ):
        super().__init__(name="trainer")
        self.detector = detector
        self._config = config
        self.average = None
        self._means = {
            name: keras.metrics.Mean(name) for name in _names(detector)
        }
        self._prepare_steps(signals)
        self.built = True

    @property
    def metrics(self):
        return list(self._means.values())

    def call(self, inputs):
        return self.detector(inputs)

    def fit(self, *args, **options):
        """As `keras.Model.fit`.

        Raises:
            UserError: a picture cannot be read, or does not fit what is said
                of it.
        """
        try:
            return super().fit(*args, **options)
        except tf.errors.OpError as error:
            found = WRAPPED.search(error.message)
            if found is None:
                raise
            raise UserError(found[1].strip()) from error

    def train_step(self, data):
        """One step on a device's part of a batch; returns the losses."""
        variables = [variable.value for variable in self.trainable_variables]
        with tf.GradientTape() as tape:
            found = self._shares(data)
            scaled = self.optimizer.scale_loss(tf.add_n(list(found.values())))
        gradients = tape.gradient(scaled, variables)
        self.optimizer.apply(gradients, self.trainable_variables)  # sums them
        return self._update(found)

    def test_step(self, data):
        """The losses of a batch, of samples with its seeds."""
        return self._update(self._shares(data))

    def _shares(self, data):
        batch = dict(data)
        seeds = batch.pop("seeds")
        return batch_losses(self.detector, batch, self._config, seeds, _total)

    def _update(self, found):
        """Losses are shares: those of all devices make the batch's."""
        found = {"loss": tf.add_n(list(found.values())), **found}
        for name, value in found.items():
            self._means[name].update_state(_total(value))
        return self.get_metrics_result()

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """There is nothing that is made later."""


def _total(value):
    """The sum over all devices."""
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
