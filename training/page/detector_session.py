"""Session of `training.app` with a detector: it draws uploaded images."""

import base64
import pathlib
from collections.abc import Callable, Mapping
from typing import BinaryIO

import tensorflow as tf

from ..coco import drawing, image_files
from ..exporting import image_headers
from ..exporting.loaded_detector import SavedDetector
from ..io.user_error import UserError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")


class DetectorSession:
    """A detector that draws its detections on one image at a time.

    Args:
        model: SavedModel of a detector.
        score_threshold: smallest score of a detection that is drawn.

    Attributes:
        page: path of the page.
        suffixes: suffixes of supported files.

    Raises:
        UserError: Pillow is not installed.
    """

    page = pathlib.Path(__file__).with_name("detector.html")
    suffixes = EXTENSIONS

    def __init__(self, model: SavedDetector, score_threshold: float):
        drawing.require()
        self.model = model
        self._score_threshold = score_threshold

    @property
    def answers(self) -> Mapping[str, tuple[Callable[[dict], dict], float]]:
        """Return nothing: the page asks no questions."""
        return {}

    def about(self) -> dict:
        """Describe the model, before any upload."""
        return {
            "model": "/".join(self.model.path.parts[-2:]),
            "classes": len(self.model.categories),
            "suffixes": self.suffixes,
        }

    def progress(self) -> dict:
        """Return the current activity: a detection is one step."""
        return {"what": "", "done": 0, "of": 0}

    def check_file(self, file: BinaryIO, suffix: str) -> None:
        """Check the header of an upload before it is decoded.

        Raises:
            UserError: it states too large an image.
        """
        del suffix  # the content tells the format
        try:
            image_headers.bounded(file.read(), image_headers.PHOTO_PIXELS)
        except tf.errors.InvalidArgumentError as error:
            raise UserError(
                "Expected an image of at most "
                f"{image_headers.PHOTO_PIXELS >> 20} megapixels."
            ) from error

    def open_file(
        self, path: pathlib.Path, check_connected: Callable[[], None]
    ) -> dict:
        """Draw the detections of an image.

        Args:
            path: the file.
            check_connected: raises a ConnectionError if the client
                disconnected.

        Raises:
            UserError: it cannot be read.
        """
        image = image_files.read(path)
        check_connected()
        detections = self.model.detect(image)
        png = drawing.png(
            image, detections, self.model.categories, self._score_threshold
        )
        drawn = detections.scores >= self._score_threshold
        return {
            "image": f"data:image/png;base64,{base64.b64encode(png).decode()}",
            "height": image.shape[0],
            "width": image.shape[1],
            "objects": [
                {
                    "name": self.model.categories[label - 1].name,
                    "score": float(score),
                }
                for label, score in zip(
                    detections.labels[drawn],
                    detections.scores[drawn],
                    strict=True,
                )
            ],
        }

    def close(self) -> None:
        """Do nothing: uploads are deleted with their requests."""
