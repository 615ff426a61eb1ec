"""From a model to a file that other software reads."""

import os
import pickle

import keras
import numpy as np

from nonlocal_tf.choices import unknown
from nonlocal_tf.weights import pytorch
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
) -> None:
    """Writes a model's weights in one of the formats that can be written.

    What `from_checkpoint` makes of the file has bit-equal weights.

    Args:
        model: of `create_model` or `from_checkpoint`.
        path: of the file; written at once or not at all is up to the caller.
        form: "keras" (model and weights), "h5" (`.weights.h5` of Keras),
            "caffe2" (of the authors) or "slowfast" (which PyTorch reads).

    Raises:
        CheckpointError: the format has no name for one of the weights.
        ValueError: the format is unknown.
        OSError: the file cannot be written.
    """
    if form not in WRITERS:
        raise ValueError(unknown("format", form, WRITERS))
    path = os.fspath(path)
    if form != "keras":
        _check_not_folded(model, form)
    if form == "keras":
        model.save(path)
    elif form == "h5":
        model.save_weights(path)
    else:
        arrays = to_arrays(model, form)
        with open(path, "wb") as file:
            if form == "caffe2":
                pickle.dump({"blobs": arrays}, file, protocol=2)
            else:
                pytorch.write(file, {"model_state": arrays, "cfg": ""})


def _check_not_folded(model: keras.Model, form: str) -> None:
    for variable in model.weights:
        weight = weight_of(variable.path)
        if weight and weight.part in PARTS and weight.role == "bias":
            raise CheckpointError(
                f"The model is folded: it has {variable.path!r} instead of a "
                f"normalisation, for which files of {form} have no place. Save "
                "the model that was folded, or write this one as keras."
            )


def to_arrays(model: keras.Model, form: str) -> dict[str, np.ndarray]:
    """A model's weights by the names, and in the layout, of a format.

    Args:
        model: of `create_model` or `from_checkpoint`.
        form: a name in `FORMATS`.

    Raises:
        CheckpointError: the format has no name for one of the weights.
    """
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
