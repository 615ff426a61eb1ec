"""Writes the files of a SavedModel, and beside them what servers want.

    saved_model.pb, variables/
    assets/classes.txt                       class names, one a line
    assets/recipe.json                       how it was trained
    assets.extra/tensors.json                names that C and C++ ask for
    assets.extra/blocks.txt                  blocks that `attention` knows
    assets.extra/tf_serving_warmup_requests  sent to itself by the server

The variables alone are tracked, not the Keras model, so that nothing of ours
is needed to load it.
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

from nonlocal_tf.attention import block_attention

from ..io import quoting
from ..io.user_error import UserError
from ..recipes import overrides
from . import saved_model, signatures, stored_weights, warmup
from .served_model import ServedModel

TENSORS = "tensors.json"
# Of what is written: the same weights are a new version where it has changed.
FORMAT = 1


def write(
    served: ServedModel, path: pathlib.Path, dtype: str = "float32"
) -> None:
    """Writes a SavedModel with all signatures that the model has.

    Args:
        served: what it computes.
        path: the directory, empty.
        dtype: of the weights as they are kept: "float32", "bfloat16" or
            "int8"; they are float32 again before they are used.

    Raises:
        UserError: it cannot be written.
    """
    extra = path / saved_model.EXTRA
    with tempfile.TemporaryDirectory() as scratch:
        module, given = _module(served, pathlib.Path(scratch), dtype)
        try:
            with _quiet():
                tf.saved_model.save(module, str(path), given)
            extra.mkdir()
            warmup.write(extra / warmup.REQUESTS, requests(served))
        except tf.errors.OpError as error:
            raise UserError(
                f"Could not write the SavedModel {path.parent}: {error.message}"
            ) from error
    (extra / TENSORS).write_text(json.dumps(tensors(path), indent=2))
    names = "".join(f"{name}\n" for name in blocks(served))
    (extra / saved_model.BLOCKS).write_text(names, "utf-8")


def _module(served: ServedModel, scratch: pathlib.Path, dtype: str):
    """What is saved, and its signatures."""
    module = tf.Module()
    kept = stored_weights.keep(served.variables, dtype)
    module.weights = [stored.kept for stored in kept]
    module.scales = [stored.scale for stored in kept]
    names = scratch / saved_model.CLASSES
    names.write_text(quoting.lines(served.classes), "utf-8")
    recipe = scratch / saved_model.RECIPE
    recipe.write_text(overrides.to_json(served.recipe), "utf-8")
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
            stored_weights.using(kept, function), specs, autograph=False
        )
        for name, (function, specs) in signatures.all_of(
            served, module.table.lookup
        ).items()
    }
    return module, dict(module.functions)


def requests(served: ServedModel) -> dict[str, dict[str, np.ndarray]]:
    """A request for each signature, of the size that was trained on."""
    shape = served.dataset.element_shape
    name = served.network.inputs[0].name
    pixels = np.full((1, *shape), 114, "uint8")
    made = {"serving_default": {name: pixels}, "features": {name: pixels}}
    if served.of_videos is not None:
        frame = tf.io.encode_jpeg(pixels[0, 0]).numpy()
        frames = np.array([[frame] * shape[0]], dtype=object)
        made["serve_frames"] = {"frames_bytes": frames}
        if blocks(served):
            made["attention"] = {
                name: pixels,
                "block": np.array([""], dtype=object),
                "query": np.zeros((1, 3), "int32"),
            }
    return made


def blocks(served: ServedModel) -> tuple[str, ...]:
    """Names of the blocks that `attention` knows; none without it."""
    if served.of_videos is None:
        return ()
    return tuple(block_attention.nonlocal_blocks(served.network))


def tensors(path: pathlib.Path) -> dict:
    """Names of the tensors of each signature, which the C API asks for.

    Returns:
        `{signature: {"inputs": {name: tensor}, "outputs": {name: tensor}}}`.
    """
    content = saved_model_pb2.SavedModel.FromString(
        (path / saved_model.SAVED_MODEL).read_bytes()
    )
    (graph,) = content.meta_graphs
    return {
        name: {
            "inputs": {key: spec.name for key, spec in of.inputs.items()},
            "outputs": {key: spec.name for key, spec in of.outputs.items()},
        }
        for name, of in sorted(graph.signature_def.items())
        if not name.startswith("__")
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps TensorFlow from naming the scratch directory it writes to."""
    level = tf.get_logger().level
    tf.get_logger().setLevel(logging.WARNING)
    try:
        yield
    finally:
        tf.get_logger().setLevel(level)
