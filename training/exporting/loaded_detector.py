"""Run SavedModels of detectors."""

import numpy as np
import tensorflow as tf

from nonlocal_tf.detection import Detections, masks

from ..coco import category_fields
from ..coco.annotation_fields import InvalidEntry
from ..coco.annotations import Category
from ..io import json_text
from ..io.paths import Path
from ..io.user_error import UserError
from . import saved_model


class SavedDetector:
    """SavedModel of a detector, loaded.

    Args:
        path: a version, or a directory of versions (the newest is used).

    Attributes:
        path: of the version.
        origin: the same as text.
        categories: classes; label 1 is the first.

    Raises:
        UserError: there is none, or `nonlocal-tf export` did not write it.
    """

    def __init__(self, path: str | Path):
        self.path = version = saved_model.find(path)
        self.origin = str(version)
        file = version / saved_model.ASSETS / saved_model.CATEGORIES
        try:
            rows = json_text.parse_as(file.read_bytes(), [dict])
            self.categories: tuple[Category, ...] = tuple(
                category_fields.category(row)[0] for row in rows
            )
            # The signature needs a reference to its module.
            self._module = saved_model.load(version)
            self._detect = self._module.signatures["serve_pixels"]
        except (
            OSError,
            ValueError,
            KeyError,
            InvalidEntry,
            tf.errors.OpError,
        ) as error:
            raise UserError(
                f"{version} cannot be loaded as a detector of nonlocal-tf: "
                f"{error}"
            ) from error

    def detect(self, image: np.ndarray) -> Detections:
        """Detect the objects of an image, uint8 RGB `(height, width, 3)`."""
        outputs = {
            name: value.numpy()
            for name, value in self._detect(pixels=tf.constant(image)).items()
        }
        count = int(outputs["count"])
        boxes, labels, scores = (
            outputs[name][:count] for name in ("boxes", "labels", "scores")
        )
        pasted = None
        if "masks" in outputs:
            probabilities = outputs["masks"][:count]
            pasted = masks.paste(probabilities, boxes, image.shape[:2])
            pasted = pasted >= masks.THRESHOLD
        points = point_scores = None
        if "keypoints" in outputs:
            points = outputs["keypoints"][:count].copy()
            point_scores = points[..., 2].copy()
            points[..., 2] = 1.0
        return Detections(boxes, labels, scores, pasted, points, point_scores)
