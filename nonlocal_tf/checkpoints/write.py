"""From a model to a file that other software reads."""

import os
import pickle

import keras
import numpy as np

from nonlocal_tf.checkpoints import architecture_metadata
from nonlocal_tf.checkpoints.errors import CheckpointError, check_model
from nonlocal_tf.checkpoints.formats import FORMATS, from_ours, weight_of
from nonlocal_tf.checkpoints.readers import hdf5, pytorch
from nonlocal_tf.choices import unknown
from nonlocal_tf.layers import NonLocalBlock

# Convolutions, which have no bias before they are folded.
PARTS = ("stem", "conv1", "conv2", "conv3", "shortcut")
# What others' code cannot be told to do.
NEVER = ("axes", "pool_position")
# What a format is written as, and how its files usually end.
WRITERS = {
    "keras": ".keras",
    "h5": ".weights.h5",
    "caffe2": ".pkl",
    "slowfast": ".pyth",
}


def save_weights(
    model: keras.Model,
    path: str | os.PathLike,
    form: str | None = None,
    *,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Writes a model's weights in one of the formats that can be written.

    What `from_checkpoint` makes of the file has bit-equal weights and, on the
    same clips and with the same head, equal outputs: a note in it says what
    weights do not show, such as the stem. Head, outputs and size of the frames
    are arguments of `from_checkpoint`; a `.keras` file has them, too. Of
    others' code, which does not read the note, the return value tells.

    Args:
        model: of `create_model` or `from_checkpoint`.
        path: of the file; written at once or not at all is up to the caller.
        form: "keras" (model and weights), "h5" (`.weights.h5` of Keras),
            "caffe2" (of the authors) or "slowfast" (which PyTorch reads).
            Default: that of `path`, by its end: `.keras`, `.weights.h5`,
            `.pkl` or `.pyth`.
        overwrite: whether to replace a file that exists.

    Returns:
        In what networks of the format's own code are not as this one although
        they take its weights, a sentence each.

    Raises:
        CheckpointError: the format has no name for one of the weights, or its
            networks cannot be as this one.
        ValueError: the format is unknown, or not given and the path does not
            end as one.
        TypeError: it is no model.
        FileExistsError: there is a file at `path`.
        OSError: the file cannot be written.
    """
    check_model(model)
    path = os.path.expanduser(os.fspath(path))
    form = form_of(path) if form is None else form
    if form not in WRITERS:
        raise ValueError(unknown("format", form, WRITERS))
    if form == "keras":
        _check_free(path, overwrite)
        model.save(path)
        return ()
    _check_not_folded(model, form)
    if form == "h5":
        _check_free(path, overwrite)
        model.save_weights(path)
        hdf5.write_note(
            path, architecture_metadata.NOTE, architecture_metadata.note(model)
        )
        return ()
    differs = _differs(model, form)
    arrays = to_arrays(model, form)
    _check_free(path, overwrite)
    noted = {architecture_metadata.NOTE: architecture_metadata.note(model)}
    with open(path, "wb") as file:
        if form == "caffe2":
            pickle.dump({"blobs": arrays, **noted}, file, protocol=2)
        else:
            state = {"model_state": arrays, "cfg": "", **noted}
            pytorch.write(file, state)
    return differs


def form_of(path: str) -> str:
    """The format in which a file is written, by how its name ends.

    Raises:
        ValueError: its name does not say.
    """
    for form, end in WRITERS.items():
        # Keras reads its own files by how their names end, in lower case.
        name = path if form in ("keras", "h5") else path.lower()
        if name.endswith(end):
            return form
    ends = ", ".join(f"{end} ({form})" for form, end in WRITERS.items())
    raise ValueError(
        "How a file's name ends says in which format it is written. Expected "
        f"one of: {ends}; or give form={' or '.join(map(repr, WRITERS))}. "
        f"Received: {path!r}"
    )


def _check_free(path: str, overwrite: bool) -> None:
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(
            f"{path} exists. Expected another path, or overwrite=True to "
            "replace it."
        )


def _check_not_folded(model: keras.Model, form: str) -> None:
    for variable in model.weights:
        weight = weight_of(variable.path)
        if weight and weight.part in PARTS and weight.role == "bias":
            raise CheckpointError(
                f"The model is folded: it has {variable.path!r} instead of a "
                f"normalisation, for which files of {form} have no place. Save "
                "the model that was folded, or write this one as keras."
            )


def _differs(model: keras.Model, form: str) -> tuple[str, ...]:
    """In what networks of a format differ, a sentence each.

    Raises:
        CheckpointError: its code would load the weights and do something else
            with them, however it is configured.
    """
    own, to = architecture_metadata.graph_of(model), FORMATS[form]
    if not own:
        raise CheckpointError(
            f"Files of {form} have the weights of residual networks, such as "
            f"'c2d_nl5_r50'. Received another network, {model.name!r}; write "
            "it as keras or h5."
        )
    of = f"networks of {form}"
    expected = architecture_metadata.expected_of(to, {}, "inflation" in own)
    found = dict(architecture_metadata.differences(model, expected, of))
    if to.stem is None and not own.get("stem", "official").startswith("offi"):
        found["stem"] = f"stem is {own['stem']!r}, in {of} 'official'"
    never = [found[name] for name in NEVER if name in found]
    alike = architecture_metadata.ALIKE
    function = own.get("pairwise", alike[0])
    if function not in alike:
        never.append(f"pairwise is {function!r}, in {of} one of {alike}")
    is_batch = any(layer.name == "conv1_bn" for layer in model.layers)
    norms = ("batch",) if is_batch else ("none", "affine")
    for layer in model.layers:
        if isinstance(layer, NonLocalBlock):
            if layer.norm not in norms or not layer.out_bias:
                never.append(
                    f"{layer.name} has norm={layer.norm!r} and out_bias="
                    f"{bool(layer.out_bias)}, in {of} {norms[0]!r} and True"
                )
    if never:
        raise CheckpointError(
            f"No network of {form} is as the model: {never[0]}. Write it as "
            "keras or h5."
        )
    return tuple(found.values())


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
