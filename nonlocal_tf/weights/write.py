"""From a model to a file that other software reads."""

import os
import pickle

import keras
import numpy as np

from nonlocal_tf.choices import unknown
from nonlocal_tf.weights import graph, hdf5, pytorch
from nonlocal_tf.weights.errors import CheckpointError
from nonlocal_tf.weights.names import FORMATS, from_ours, weight_of

# Convolutions, which have no bias before they are folded.
PARTS = ("stem", "conv1", "conv2", "conv3", "shortcut")
# What a format is written as, and how its files usually end.
WRITERS = {
    "keras": ".keras",
    "h5": ".weights.h5",
    "caffe2": ".pkl",
    "slowfast": ".pyth",
}


def save_weights(
    model: keras.Model, path: str | os.PathLike, form: str
) -> tuple[str, ...]:
    """Writes a model's weights in one of the formats that can be written.

    What `from_checkpoint` makes of the file has bit-equal weights and equal
    outputs: a note in it says what weights do not show, such as the stem. Of
    others' code, which does not read the note, the return value tells.

    Args:
        model: of `create_model` or `from_checkpoint`.
        path: of the file; written at once or not at all is up to the caller.
        form: "keras" (model and weights), "h5" (`.weights.h5` of Keras),
            "caffe2" (of the authors) or "slowfast" (which PyTorch reads).

    Returns:
        In what networks of the format's own code are not as this one although
        they take its weights, a sentence each.

    Raises:
        CheckpointError: the format has no name for one of the weights, or its
            networks cannot be as this one.
        ValueError: the format is unknown.
        OSError: the file cannot be written.
    """
    if form not in WRITERS:
        raise ValueError(unknown("format", form, WRITERS))
    path = os.fspath(path)
    if form == "keras":
        model.save(path)
        return ()
    _check_not_folded(model, form)
    if form == "h5":
        model.save_weights(path)
        hdf5.write_note(path, graph.NOTE, graph.note(model))
        return ()
    arrays = to_arrays(model, form)
    noted = {graph.NOTE: graph.note(model)}
    with open(path, "wb") as file:
        if form == "caffe2":
            pickle.dump({"blobs": arrays, **noted}, file, protocol=2)
        else:
            state = {"model_state": arrays, "cfg": "", **noted}
            pytorch.write(file, state)
    return _checked_graph(model, form)


def _check_not_folded(model: keras.Model, form: str) -> None:
    for variable in model.weights:
        weight = weight_of(variable.path)
        if weight and weight.part in PARTS and weight.role == "bias":
            raise CheckpointError(
                f"The model is folded: it has {variable.path!r} instead of a "
                f"normalisation, for which files of {form} have no place. Save "
                "the model that was folded, or write this one as keras."
            )


def _checked_graph(model: keras.Model, form: str) -> tuple[str, ...]:
    """In what networks of a format differ; of what they cannot be, an error."""
    own, to = graph.graph_of(model), FORMATS[form]
    inflated = "stem" in own and model.get_layer("conv1").kernel_size[0] > 1
    expected = graph.expected_of(to, {}, inflated)
    wrong = list(graph.differences(model, expected, f"networks of {form}"))
    if own.get("pairwise") == "gaussian" and not to.has_gaussian:
        wrong.insert(0, f"networks of {form} have no Gaussian")
    for sentence in wrong:
        # The stem is a choice of code, and the factor one of configuration.
        if not sentence.startswith(("stem", "scale")):
            raise CheckpointError(
                f"No network of {form} is as the model: {sentence}. Write it "
                "as keras or h5."
            )
    return tuple(wrong)


def to_arrays(model: keras.Model, form: str) -> dict[str, np.ndarray]:
    """A model's weights by the names, and in the layout, of a format.

    Args:
        model: of `create_model` or `from_checkpoint`.
        form: a name in `FORMATS`.

    Raises:
        CheckpointError: the format has no name for one of the weights, or its
            networks cannot be as this one.
    """
    _checked_graph(model, form)
    arrays = {}
    affine = [v.path for v in model.weights if "affine/" in v.path]
    if affine and form != "caffe2":
        raise CheckpointError(
            f"Files of {form} have batch normalisations with statistics, and "
            f"this model has scales and shifts alone, such as {affine[0]!r}. "
            "Write it as caffe2, keras or h5."
        )
    for variable in model.weights:
        weight = weight_of(variable.path)
        names = () if weight is None else FORMATS[form].names(weight)
        if weight is None or not names:
            raise CheckpointError(
                f"Files of {form} have no name for {variable.path!r}: their "
                "networks have nothing like it. Write it as keras or h5."
            )
        array = keras.ops.convert_to_numpy(variable)
        arrays[names[0]] = from_ours(array, weight, FORMATS[form])
    return arrays
