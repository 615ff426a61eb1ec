"""Write the model card (README.md) of an exported detector."""

import pathlib
import time

import numpy as np
import tensorflow as tf

from ..coco.trained_detector import TrainedDetector
from ..io import quoting, tables
from ..io.versions import machine
from . import saved_detector
from .model_card import CALLS, MAX_CLASSES, ModelDescription, folder_bytes

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
    summary = quoting.one_line(description.summary)
    parts = [
        f"# {quoting.one_line(description.name)}",
        f"{summary[:1].upper()}{summary[1:]}. A SavedModel, made by "
        "`nonlocal-tf export`; loading it takes TensorFlow alone.",
        _signatures(model),
        _speed(model, version, dtype),
        *description.results,
        _classes(description, model),
        f"## Licence\n\nThe code is Apache-2.0. {description.license}",
        *description.reproduction,
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


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
    served(pixels=pixels)  # traces and allocates
    times = []
    for _ in range(CALLS):
        start = time.perf_counter()
        served(pixels=pixels)
        times.append(time.perf_counter() - start)
    count = model.detector.count_params()
    rows = [
        ("", ""),
        ("weights", f"{dtype}, {count:,}"),
        ("size on disk", f"{folder_bytes(version) / 1e6:.1f} MB"),
        (
            f"seconds an image of {size[0]} x {size[1]}, median of {CALLS}",
            f"{np.median(times):.3f}",
        ),
        ("on", machine()),
    ]
    return f"## Size and speed\n\n{tables.markdown(rows)}"


def _classes(description: ModelDescription, model: TrainedDetector) -> str:
    names = [quoting.one_line(category.name) for category in model.categories]
    remaining = len(names) - MAX_CLASSES
    rest = f" and {remaining} more (assets/classes.txt)" * (remaining > 0)
    return (
        f"## Data\n\n{quoting.one_line(description.dataset)}. It knows "
        f"{len(names)} classes and nothing else: "
        f"{', '.join(names[:MAX_CLASSES])}{rest}."
    )
