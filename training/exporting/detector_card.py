"""Write the model card (README.md) of an exported detector."""

import pathlib

import tensorflow as tf

from ..coco.trained_detector import TrainedDetector
from ..io import quoting, tables
from ..io.versions import machine
from . import model_card, saved_detector
from .model_card import (
    CALLS,
    ModelDescription,
    folder_bytes,
    median_seconds,
)

MEANINGS = {
    "serving_default": "detections of encoded images",
    "serve_pixels": "detections of one image's pixels",
}


def render(
    description: ModelDescription,
    model: TrainedDetector,
    version: pathlib.Path,
    dtype: str,
) -> str:
    """Format the card as Markdown.

    Args:
        description: of the detector and its training.
        model: the exported detector.
        version: directory of the export; it is loaded and timed.
        dtype: storage of the weights.
    """
    classes = model_card.classes_sentence(
        [category.name for category in model.categories]
    )
    return model_card.page(
        description,
        _signatures(model),
        _speed(model, version, dtype),
        f"## Data\n\n{quoting.one_line(description.dataset)}. {classes}",
    )


def _signatures(model: TrainedDetector) -> str:
    inputs = {
        "serving_default": f"`{saved_detector.INPUT}` string (?)",
        "serve_pixels": "`pixels` uint8 (?, ?, 3)",
    }
    outputs = ", ".join(
        f"`{name}` {spec.dtype.name} ({', '.join(map(str, spec.shape))})"
        for name, spec in sorted(saved_detector.specs_of(model).items())
    )
    rows: list[tuple[str, ...]] = [("signature", "gives", "inputs", "outputs")]
    rows += [
        (f"`{name}`", meaning, inputs[name], outputs)
        for name, meaning in MEANINGS.items()
    ]
    return (
        f"## Signatures\n\n{tables.markdown(rows)}\n\n"
        "Images are JPEG, PNG, BMP, WebP or GIF, and are rotated by their EXIF "
        "orientation; those of `serving_default` add an axis of the batch to "
        "the outputs. `count` objects are valid, by descending score. Boxes "
        "and keypoints are in pixels of the image. An image is scaled to a "
        f"short side of {model.short_side_px} px, and a long side of "
        f"{model.long_side_px} px at most."
    )


def _speed(model: TrainedDetector, version: pathlib.Path, dtype: str) -> str:
    served = tf.saved_model.load(str(version)).signatures["serve_pixels"]
    size = (model.short_side_px,) * 2
    pixels = tf.fill((*size, 3), tf.constant(114, tf.uint8))
    seconds = median_seconds(lambda: served(pixels=pixels))
    count = model.detector.count_params()
    rows = [
        ("", ""),
        ("weights", f"{dtype}, {count:,}"),
        ("size on disk", f"{folder_bytes(version) / 1e6:.1f} MB"),
        (
            f"seconds an image of {size[0]} x {size[1]}, median of {CALLS}",
            f"{seconds:.3f}",
        ),
        ("on", machine()),
    ]
    return f"## Size and speed\n\n{tables.markdown(rows)}"
