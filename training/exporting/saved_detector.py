"""Write a detector as a SavedModel that needs only TensorFlow.

    saved_model.pb, variables/
    assets/classes.txt      class names, one a line; label 1 is the first
    assets/categories.json  the same, with names of keypoints and skeletons
    assets/recipe.json      recipe of the training, of an exported run
    assets.extra/tf_serving_warmup_requests  warm-up of TensorFlow Serving

The signature `serving_default` takes `image_bytes`, JPEG, PNG, BMP, WebP or
GIF, and returns for each image, rotated by its EXIF orientation: `size`, height
and width; `count`, the number of detections; by descending score and padded
with zeros `boxes` (x1, y1, x2, y2 in pixels), `labels`, `scores`; with a mask
head `masks`, 28 x 28 probabilities within each box (a border of `MASK_CELLS` is
to be added: `nonlocal_tf.detection.masks.paste`); with a keypoint head
`keypoints`, x, y and a logit. `serve_pixels` takes the uint8 RGB pixels of one
upright image.
"""

import dataclasses
import json
import pathlib
import tempfile

import numpy as np
import tensorflow as tf

from nonlocal_tf.detection import keypoints, preprocessing

from ..coco import exif_orientation
from ..coco.trained_detector import TrainedDetector
from ..io import quoting
from ..io.user_error import UserError
from . import image_headers, quantization, saved_model, warmup

INPUT = "image_bytes"


def write(
    model: TrainedDetector,
    path: pathlib.Path,
    dtype: str = "float32",
    recipe_json: str | None = None,
) -> None:
    """Write a SavedModel.

    Args:
        model: the detector.
        path: the directory, empty.
        dtype: storage of the weights, of `quantization.DTYPES`.
        recipe_json: recipe of the training, if known.

    Raises:
        UserError: it cannot be written.
    """
    with tempfile.TemporaryDirectory() as scratch:
        module, functions = _module(
            model, pathlib.Path(scratch), dtype, recipe_json
        )
        try:
            tf.saved_model.save(module, str(path), functions)
            extra = path / saved_model.EXTRA
            extra.mkdir()
            warmup.write(extra / warmup.REQUESTS, _requests())
        except tf.errors.OpError as error:
            raise UserError(
                f"Could not write the SavedModel {path.parent}: {error.message}"
            ) from error


def _module(
    model: TrainedDetector,
    scratch: pathlib.Path,
    dtype: str,
    recipe_json: str | None,
):
    """Create the module to save, and its signatures.

    It tracks the variables, not the Keras model, so that loading needs only
    TensorFlow.
    """
    module = tf.Module()
    kept = quantization.quantize(model.detector.weights, dtype)
    module.weights = [stored.kept for stored in kept]
    module.scales = [stored.scale for stored in kept]
    names = scratch / saved_model.CLASSES
    lines = quoting.lines(category.name for category in model.categories)
    names.write_text(lines, "utf-8")
    about = scratch / saved_model.CATEGORIES
    rows = [dataclasses.asdict(category) for category in model.categories]
    about.write_text(json.dumps(rows, indent=2), "utf-8")
    module.class_names = tf.saved_model.Asset(str(names))
    module.categories = tf.saved_model.Asset(str(about))
    if recipe_json is not None:
        recipe = scratch / saved_model.RECIPE
        recipe.write_text(recipe_json, "utf-8")
        module.recipe = tf.saved_model.Asset(str(recipe))

    def of_pixels(image):
        return detect_in_graph(model, image)

    def of_bytes(contents):
        def detect(content):
            content = image_headers.bounded(content, image_headers.PHOTO_PIXELS)
            return detect_in_graph(model, exif_orientation.decode(content))

        return tf.map_fn(detect, contents, fn_output_signature=specs_of(model))

    functions = {
        "serving_default": (of_bytes, tf.TensorSpec((None,), tf.string, INPUT)),
        "serve_pixels": (
            of_pixels,
            tf.TensorSpec((None, None, 3), tf.uint8, "pixels"),
        ),
    }
    module.functions = {
        name: tf.function(
            quantization.with_stored_values(kept, function),
            [spec],
            autograph=False,
        )
        for name, (function, spec) in functions.items()
    }
    return module, dict(module.functions)


def detect_in_graph(model: TrainedDetector, image) -> dict:
    """Detect the objects of one image; outputs as in `specs_of`.

    Args:
        model: the detector.
        image: uint8 RGB `(height, width, 3)`, of unknown sizes.
    """
    original = tf.shape(image)[:2]
    size = _scaled_size(original, model)
    # Keras resizes only to sizes known when the graph is built.
    x = tf.image.resize(
        preprocessing.normalize(image, model.normalization), size
    )
    below = -size % preprocessing.SIZE_DIVISOR
    x = tf.pad(x, ((0, below[0]), (0, below[1]), (0, 0)))
    detections = model.detector(
        {"images": x[None], "sizes": size[None]}, training=False
    )
    detections = {name: value[0] for name, value in detections.items()}
    back = tf.cast(original / size, tf.float32)[::-1]  # x, then y
    outputs = {
        "size": original,
        "count": detections["count"],
        "boxes": detections["boxes"] * tf.tile(back, (2,)),
        "labels": detections["labels"],
        "scores": detections["scores"],
    }
    if "masks" in detections:
        outputs["masks"] = detections["masks"]
    if "heat_maps" in detections:
        count = detections["count"]
        points, scores = keypoints.decode(
            detections["heat_maps"][:count], detections["boxes"][:count]
        )
        points = tf.concat([points[..., :2] * back, scores[..., None]], -1)
        behind = model.detector.config.detections_per_image - count
        outputs["keypoints"] = tf.pad(points, ((0, behind), (0, 0), (0, 0)))
    return {
        name: tf.ensure_shape(outputs[name], spec.shape)
        for name, spec in specs_of(model).items()
    }


def specs_of(model: TrainedDetector) -> dict[str, tf.TensorSpec]:
    """Return the specs of the detections of one image."""
    config = model.detector.config
    count = config.detections_per_image
    specs = {
        "size": tf.TensorSpec((2,), tf.int32),
        "count": tf.TensorSpec((), tf.int32),
        "boxes": tf.TensorSpec((count, 4), tf.float32),
        "labels": tf.TensorSpec((count,), tf.int32),
        "scores": tf.TensorSpec((count,), tf.float32),
    }
    if model.detector.mask_head is not None:
        side = model.detector.mask_head.output_shape[1]
        specs["masks"] = tf.TensorSpec((count, side, side), tf.float32)
    if model.detector.keypoint_head is not None:
        shape = (count, config.num_keypoints, 3)
        specs["keypoints"] = tf.TensorSpec(shape, tf.float32)
    return specs


def _scaled_size(original, model: TrainedDetector):
    """Compute `preprocessing.resized_size` in a graph, int32 `(2,)`."""
    sides = tf.cast(original, tf.float32)
    scale = tf.minimum(
        tf.constant(model.short_side_px, tf.float32) / tf.reduce_min(sides),
        tf.constant(model.long_side_px, tf.float32) / tf.reduce_max(sides),
    )
    return tf.maximum(tf.cast(tf.floor(sides * scale), tf.int32), 1)


def _requests() -> dict[str, dict[str, np.ndarray]]:
    """Make a warm-up request for each signature."""
    pixels = np.full((48, 64, 3), 114, "uint8")
    content = tf.io.encode_jpeg(pixels).numpy()
    return {
        "serving_default": {INPUT: np.array([content], dtype=object)},
        "serve_pixels": {"pixels": pixels},
    }
