"""COCO's numbers after an epoch of training."""

from collections.abc import Sequence
from typing import Any

import keras

from nonlocal_tf import detection
from nonlocal_tf.detection import RGB, MaskRCNN, PixelNormalization

from ..io.progress import Progress, say
from ..io.user_error import UserError
from ..loop import finite
from . import coco_scores, images
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
    """Finds objects in all pictures and scores what was found.

    Pictures that cannot be read, or have another size than their annotations,
    are named on the screen and left out. Classes are matched as
    `coco_scores.with_ids_of` does. Of annotations of which no object has a
    mask, boxes and keypoints are scored.

    Args:
        detector: a trained one.
        annotations: whose pictures are looked at.
        short_side_px: a picture is scaled to, at the most.
        long_side_px: a picture is scaled to, at the most.
        normalization: that of the network's training.
        categories: that it knows; label 1 is the first. Default: those of
            the annotations.

    Returns:
        `box_AP`, `box_AP50`, ..., and of masks and keypoints, if it has them.

    Raises:
        UserError: detector and annotations do not fit each other, or its
            outputs are not finite.
    """
    categories = categories or annotations.categories
    check_classes(detector, annotations, categories)
    kinds = coco_scores.kinds_in(annotations, detector.config)
    scores = CocoScores(annotations, categories, kinds)
    coco_scores.check(annotations, detector.config)
    in_graph = detector.inference_function()
    shown = Progress(len(annotations.pictures), "pictures evaluated")
    for done, picture in enumerate(annotations.pictures):
        shown.at(done)
        try:
            image = images.read(picture.path)
        except UserError as error:
            say(f"note: left out of the test: {error}")
            continue
        fault = images.size_fault(picture, image.shape[:2])
        if fault:
            say(f"note: left out of the test: image {picture.id}: {fault}")
            continue
        try:
            found = detection.detect(
                in_graph, image, short_side_px, long_side_px, normalization
            )
        except detection.NonFiniteOutputsError as error:
            detail = f" for {picture.path}"
            raise finite.outputs_error("The detector", detail) from error
        scores.add(picture.id, found)
    return scores.scores()


def check_classes(
    detector: MaskRCNN,
    annotations: Annotations,
    categories: Sequence[Category],
) -> None:
    """Raises a UserError unless a detector has so many classes.

    Args:
        detector: to score.
        annotations: that it is scored on.
        categories: of the detector.
    """
    expected, received = 1 + len(categories), detector.config.num_classes
    if received != expected:
        raise UserError(
            f"{annotations.path} has {len(categories)} categories, so the "
            f"detector has to have num_classes={expected}, with the "
            f"background. Received: num_classes={received}"
        )


class CocoEvaluation(keras.callbacks.Callback):
    """Adds COCO's numbers to the logs of an epoch: `val_box_AP`, ...

    It is to be before callbacks that read them, such as
    `keras.callbacks.ModelCheckpoint(monitor="val_box_AP")`.

    Args:
        annotations: of the pictures that are validated on.
        every_epochs: from one evaluation to the next.
        **options: of `evaluate`.
    """

    def __init__(
        self, annotations: Annotations, every_epochs: int = 1, **options
    ):
        super().__init__()
        if every_epochs < 1:
            raise ValueError(
                "Expected every_epochs of 1 at least. Received: "
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
        found = evaluate(detector, self._annotations, **self._options)
        logs.update({f"val_{name}": value for name, value in found.items()})
