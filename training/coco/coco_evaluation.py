"""Evaluation of a detector by COCO's metrics, also after training epochs."""

from collections.abc import Sequence
from typing import Any

import keras

from nonlocal_tf import detection
from nonlocal_tf.detection import RGB, MaskRCNN, PixelNormalization

from ..io import finite
from ..io.progress import Progress, say
from ..io.user_error import UserError
from . import coco_scores, image_files
from .annotations import Annotations, Category
from .coco_scores import CocoScores


def evaluate(
    detector: MaskRCNN,
    annotations: Annotations,
    short_side_px: int = 800,
    long_side_px: int = 1333,
    normalization: PixelNormalization = RGB,
    categories: Sequence[Category] | None = None,
) -> dict[str, float]:
    """Detect the objects of all images and score the detections.

    Images that cannot be read, or have another size than their annotations,
    are named on the screen and skipped. Categories are matched by
    `category_matching.match_categories`. If no object has a mask, boxes and
    keypoints alone are scored.

    Args:
        detector: a trained detector.
        annotations: the ground truth.
        short_side_px: limit of an image's short side after resizing.
        long_side_px: limit of its long side after resizing.
        normalization: that of the network's training.
        categories: categories of the detector; label 1 is the first. Default:
            those of the annotations.

    Returns:
        `box_AP`, `box_AP50`, ..., and those of masks and keypoints.

    Raises:
        UserError: detector and annotations do not fit each other, or outputs
            are not finite.
    """
    categories = categories or annotations.categories
    check_classes(detector, annotations, categories)
    iou_types = coco_scores.scored_iou_types(annotations, detector.config)
    scores = CocoScores(annotations, categories, iou_types)
    coco_scores.check(annotations, detector.config)
    model = detector.inference_function()
    progress = Progress(len(annotations.images), "images evaluated")
    for number, image in enumerate(annotations.images):
        progress.update(number)
        try:
            pixels = image_files.read(image.path)
        except UserError as error:
            say(f"note: not evaluated: {error}")
            continue
        fault = image_files.size_fault(image, pixels.shape[:2])
        if fault:
            say(f"note: not evaluated: image {image.id}: {fault}")
            continue
        try:
            detections = detection.detect(
                model, pixels, short_side_px, long_side_px, normalization
            )
        except detection.NonFiniteOutputsError as error:
            detail = f" for {image.path}"
            raise finite.outputs_error("The detector", detail) from error
        scores.add(image.id, detections)
    return scores.scores()


def check_classes(
    detector: MaskRCNN,
    annotations: Annotations,
    categories: Sequence[Category],
) -> None:
    """Raise a UserError unless a detector has a class for each category.

    Args:
        detector: the detector to score.
        annotations: the ground truth.
        categories: categories of the detector.
    """
    expected, received = 1 + len(categories), detector.config.num_classes
    if received != expected:
        raise UserError(
            f"{annotations.path} has {len(categories)} categories, so the "
            f"detector has to have num_classes={expected}, with the "
            f"background. Received: num_classes={received}"
        )


class CocoEvaluation(keras.callbacks.Callback):
    """Adds COCO's metrics to the logs of an epoch: `val_box_AP`, ...

    Put it before callbacks that read them, such as
    `keras.callbacks.ModelCheckpoint(monitor="val_box_AP")`.

    Args:
        annotations: the ground truth of the validation images.
        every_epochs: epochs from one evaluation to the next.
        **options: arguments of `evaluate`.
    """

    def __init__(
        self, annotations: Annotations, every_epochs: int = 1, **options
    ):
        super().__init__()
        if every_epochs < 1:
            raise ValueError(
                "Expected every_epochs of at least 1. Received: "
                f"every_epochs={every_epochs}"
            )
        self._annotations = annotations
        self._every_epochs = every_epochs
        self._options = options

    def on_epoch_end(self, epoch, logs=None):
        if logs is None or (epoch + 1) % self._every_epochs:
            return
        model: Any = self.model
        detector = getattr(model, "detector", model)
        scores = evaluate(detector, self._annotations, **self._options)
        logs.update({f"val_{name}": value for name, value in scores.items()})
