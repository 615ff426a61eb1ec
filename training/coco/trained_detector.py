"""A trained detector with what it takes to apply it to images."""

import dataclasses
import os
from collections.abc import Sequence

import keras
import numpy as np

from nonlocal_tf import detection
from nonlocal_tf.detection import Detections, MaskRCNN, PixelNormalization

from ..io import finite, weight_errors
from ..io.user_error import UserError
from . import coco_names
from .annotations import Category

SHORT_SIDE_PX, LONG_SIDE_PX = 800, 1333


@dataclasses.dataclass(frozen=True)
class TrainedDetector:
    """A detector with its categories and pre-processing.

    Attributes:
        origin: its run folder or weights file.
        detector: the network with its weights.
        categories: its categories; label 1 is the first.
        short_side_px: limit of an image's short side after resizing.
        long_side_px: limit of its long side after resizing.
        normalization: that of the network's training.
        weights_format: of a published file: "torchvision" or "detectron2".
    """

    origin: str
    detector: MaskRCNN
    categories: Sequence[Category]
    short_side_px: int = SHORT_SIDE_PX
    long_side_px: int = LONG_SIDE_PX
    normalization: PixelNormalization = detection.RGB
    weights_format: str | None = None

    def detect(self, image: np.ndarray) -> Detections:
        """Detect the objects of an image, uint8 RGB `(height, width, 3)`.

        Raises:
            UserError: the detector's outputs are not finite.
        """
        try:
            return detection.detect(
                self.detector.inference_function(),
                image,
                self.short_side_px,
                self.long_side_px,
                self.normalization,
            )
        except detection.NonFiniteOutputsError as error:
            raise finite.outputs_error(self.origin) from error

    def check_finite(self) -> None:
        """Raise a UserError unless weights and outputs are finite.

        The outputs are those for a grey image.
        """
        weights = self.detector.weights
        name = finite.not_finite_array(
            [weight.path for weight in weights],
            [keras.ops.convert_to_numpy(weight) for weight in weights],
        )
        if name:
            raise finite.outputs_error(self.origin, f", nor is {name}")
        self.detect(np.full((64, 96, 3), 114, np.uint8))


def load_detector(path: str | os.PathLike) -> TrainedDetector:
    """Load a detector of torchvision or detectron2 that was trained on COCO.

    Raises:
        UserError: it is not such a file.
    """
    path = os.path.expanduser(path)
    if os.path.isfile(os.path.join(path, "recipe.json")):
        raise UserError(f"{path} is a run folder: give it without --weights.")
    if not os.path.isfile(path):
        raise UserError(f"There is no file {path}.")
    with weight_errors.shown("", weight_errors.of_detector_file):
        detector, report, normalization = detection.from_checkpoint(path)
    config = detector.config
    return TrainedDetector(
        os.fspath(path),
        detector,
        coco_names.categories_of(config.num_classes, config.num_keypoints),
        normalization=normalization,
        weights_format=report.format,
    )
