"""Losses of a batch over all devices, and their means over an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import keras
import tensorflow as tf  # noqa: TID251, sums over devices

from nonlocal_tf.detection import losses
from nonlocal_tf.detection.config import TargetSamplingConfig
from nonlocal_tf.typing import Tensor

if TYPE_CHECKING:
    from nonlocal_tf.detection.model import MaskRCNN

# Of any detector; its heads need more.
BATCH_KEYS = ("images", "sizes", "boxes", "labels", "crowds", "seeds")


def global_losses(
    model: MaskRCNN,
    batch: Mapping[str, Tensor],
    sampling: TargetSamplingConfig,
) -> dict[str, Tensor]:
    """Compute a device's share of the losses of a batch.

    Each loss is divided by the number of anchors, boxes or keypoints sampled
    from the batch, over all devices; the samples of an image are a function of
    its own seed. So a step is the same on one device and on many.

    Args:
        model: the detector.
        batch: this device's part of the batch: that of `losses.batch_losses`,
            and `seeds`, int32 `(batch, 2)`.
        sampling: matching and sampling of anchors and proposals.

    Returns:
        A dict of scalars, as `losses.batch_losses`.

    Raises:
        ValueError: the batch is none of annotated images, or lacks objects
            that the detector has a head for.
    """
    if not isinstance(batch, Mapping) or not batch.keys() >= set(BATCH_KEYS):
        shapes = keras.tree.map_structure(lambda x: str(x.shape), batch)
        raise ValueError(
            "Expected batches of images and their objects, as "
            "training.data.load_coco(...).batches returns them: a dict of "
            f"{', '.join(map(repr, BATCH_KEYS))}. Received arrays of shapes "
            f"{shapes}. Classifiers are trained on clips and labels."
        )
    inputs = dict(batch)
    for name, head in (
        ("masks", model.mask_head),
        ("keypoints", model.keypoint_head),
    ):
        if head is not None and name not in inputs:
            raise ValueError(
                f"Expected batches with {name!r}, as the detector has a head "
                f"for them. Received: {sorted(inputs)}. Create the detector "
                "with masks=False or num_keypoints=0, or annotate them."
            )
    seeds = inputs.pop("seeds")
    return losses.batch_losses(model, inputs, sampling, seeds, sum_over_devices)


def sum_over_devices(value: Tensor) -> Tensor:
    """Sum a number over all devices, in a step."""
    return tf.distribute.get_replica_context().all_reduce("SUM", value)


class LossMeans:
    """Means of the losses of a detector.

    Args:
        model: the detector.

    Attributes:
        metrics: the sum of the losses, called "loss", and each loss.
    """

    # No Keras object: its metrics would be saved with the weights of a model.
    def __init__(self, model: MaskRCNN):
        names = ["loss", "objectness", "rpn_boxes", "classes", "boxes"]
        names += ["masks"] * (model.mask_head is not None)
        names += ["keypoints"] * (model.keypoint_head is not None)
        self.metrics = [keras.metrics.Mean(name) for name in names]

    def update(self, losses: Mapping[str, Tensor]) -> None:
        """Update the means by all devices' shares of the losses of a batch."""
        values = {"loss": tf.add_n(list(losses.values())), **losses}
        for metric in self.metrics:
            metric.update_state(sum_over_devices(values[metric.name]))
