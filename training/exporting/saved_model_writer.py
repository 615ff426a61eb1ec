"""Write a SavedModel and its extra files for servers and clients.

    saved_model.pb, variables/
    assets/classes.txt                       class names, one a line
    assets/clips.json                        how clips are made of videos
    assets/recipe.json                       recipe of the training, if any
    assets.extra/tensors.json                tensor names for C and C++
    assets.extra/blocks.txt                  names of non-local blocks
    assets.extra/tf_serving_warmup_requests  warm-up of TensorFlow Serving

Only the variables are tracked, not the Keras model, so that loading takes
TensorFlow alone.
"""

import contextlib
import json
import logging
import pathlib
import tempfile
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from ..io import quoting
from ..io.user_error import UserError
from . import clip_description, quantization, saved_model, signatures, warmup
from .inference_model import InferenceModel

TENSORS = "tensors.json"
FORMAT = 1  # a change makes exports of the same weights new versions


def write(
    served: InferenceModel,
    path: pathlib.Path,
    recipe_json: str = "",
    dtype: str = "float32",
) -> None:
    """Write a SavedModel with all signatures of the model.

    Args:
        served: the model.
        path: the directory, empty.
        recipe_json: content of assets/recipe.json; "" for no such file.
        dtype: storage of the weights: "float32", "bfloat16" or "int8"; they
            are converted to float32 before use.

    Raises:
        UserError: it cannot be written.
    """
    extra = path / saved_model.EXTRA
    with tempfile.TemporaryDirectory() as scratch:
        module, signature_functions = _module(
            served, pathlib.Path(scratch), recipe_json, dtype
        )
        try:
            with _quiet():
                tf.saved_model.save(module, str(path), signature_functions)
            extra.mkdir()
            warmup.write(extra / warmup.REQUESTS, requests(served))
        except tf.errors.OpError as error:
            raise UserError(
                f"Could not write the SavedModel {path.parent}: {error.message}"
            ) from error
        except AssertionError as error:
            if "untracked" not in str(error):
                raise
            raise UserError(
                "Expected `preprocess` to be a function without variables, or "
                "a Keras layer. Received one whose variables are not found: "
                "pass the layer itself, or make it part of the model."
            ) from error
    (extra / TENSORS).write_text(json.dumps(tensors(path), indent=2))
    names = "".join(f"{name}\n" for name in served.blocks)
    (extra / saved_model.BLOCKS).write_text(names, "utf-8")


def _module(
    served: InferenceModel, scratch: pathlib.Path, recipe_json: str, dtype: str
):
    """Create the module to save, and its signatures."""
    module = tf.Module()
    kept = quantization.quantize(served.variables, dtype)
    module.weights = [stored.kept for stored in kept]
    module.scales = [stored.scale for stored in kept]
    names = scratch / saved_model.CLASSES
    names.write_text(quoting.lines(served.classes), "utf-8")
    clips = scratch / clip_description.FILE
    clips.write_text(clip_description.to_json(served.clips), "utf-8")
    module.clips = tf.saved_model.Asset(str(clips))
    if recipe_json:
        recipe = scratch / saved_model.RECIPE
        recipe.write_text(recipe_json, "utf-8")
        module.recipe = tf.saved_model.Asset(str(recipe))
    module.class_names = tf.saved_model.Asset(str(names))
    module.table = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(
            module.class_names,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
        ),
        default_value="",
    )
    module.functions = {
        name: tf.function(
            quantization.with_stored_values(kept, function),
            specs,
            autograph=False,
        )
        for name, (function, specs) in signatures.make_signatures(
            served, module.table.lookup
        ).items()
    }
    return module, dict(module.functions)


def requests(served: InferenceModel) -> dict[str, dict[str, np.ndarray]]:
    """Make a request for each signature, of the training size."""
    shape = served.info.element_shape
    name = served.input_name
    pixels = np.full((1, *shape), 114, "uint8")
    inputs = {"serving_default": {name: pixels}}
    if served.features is not None:
        inputs["features"] = {name: pixels}
    if served.averaging is not None:
        frame = tf.io.encode_jpeg(pixels[0, 0]).numpy()
        frames = np.array([[frame] * shape[0]], dtype=object)
        inputs["serve_frames"] = {"frames_bytes": frames}
        if served.averaging.has_windows:
            views = served.averaging.views
            side = views.crop_px if views.crops else views.short_side_px
            crop = np.full((1, shape[0], side, side, 3), 114, "uint8")
            inputs["serve_views"] = {name: crop}
    if served.blocks:
        inputs["attention"] = {
            name: pixels,
            "block": np.array([""], dtype=object),
            "query": np.zeros((1, len(shape) - 1), "int32"),
        }
    return inputs


def tensors(path: pathlib.Path) -> dict:
    """Return the tensor names of each signature, for the C API.

    Returns:
        `{signature: {"inputs": {name: tensor}, "outputs": {name: tensor}}}`.
    """
    content = saved_model_pb2.SavedModel.FromString(
        (path / saved_model.SAVED_MODEL).read_bytes()
    )
    (graph,) = content.meta_graphs
    return {
        name: {
            "inputs": {
                key: spec.name for key, spec in signature.inputs.items()
            },
            "outputs": {
                key: spec.name for key, spec in signature.outputs.items()
            },
        }
        for name, signature in sorted(graph.signature_def.items())
        if not name.startswith("__")
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the log line about the temporary directory."""
    level = tf.get_logger().level
    tf.get_logger().setLevel(logging.WARNING)
    try:
        yield
    finally:
        tf.get_logger().setLevel(level)
