"""Assignment of a file's weights to the variables of a model."""

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from nonlocal_tf.checkpoints import architecture_metadata, infer_architecture
from nonlocal_tf.checkpoints.assignment_plan import AssignmentPlan
from nonlocal_tf.checkpoints.errors import CheckpointError, MismatchError
from nonlocal_tf.checkpoints.formats import (
    Weight,
    parse_path,
    to_keras_layout,
)
from nonlocal_tf.checkpoints.load_report import LoadReport
from nonlocal_tf.checkpoints.norm_conversion import (
    fold_norm_into_block,
    plan_norm,
)
from nonlocal_tf.checkpoints.read import ResNetCheckpoint
from nonlocal_tf.models.inflation import inflate_kernel

REMEDY = (
    "Build the model of the file with from_checkpoint, or give create_model "
    "its depth, places and norm."
)


def assign(
    model: keras.Model, checkpoint: ResNetCheckpoint, new_head: bool = False
) -> LoadReport:
    """Assign all weights of a file to a model, or none if one does not fit.

    Args:
        model: a model of `create_model`.
        checkpoint: the file's content.
        new_head: keep the initial values of the classifier.

    Raises:
        CheckpointError: a variable has no weight, or a weight no variable.
    """
    variables = variables_by_path(model)
    plan = _plan(variables, checkpoint, new_head)
    kept = _checked_kept(plan, variables)
    loaded = {name for names in plan.loaded.values() for name in names}
    unused = tuple(n for n in checkpoint.arrays if n not in loaded)
    _check_unused(plan, unused)
    values = {k: np.asarray(v, "float32") for k, v in plan.values.items()}
    for path, value in values.items():
        variables[path].assign(value)
    return LoadReport(
        path=checkpoint.path,
        format=checkpoint.format.name,
        loaded=plan.loaded,
        inflated=tuple(plan.inflated),
        converted=tuple(plan.converted),
        kept=kept,
        unused=unused,
        ignored=checkpoint.ignored,
        selected=checkpoint.selected,
        differences=_differences(model, checkpoint),
    )


def variables_by_path(model: keras.Model) -> dict[str, keras.Variable]:
    """Return the variables of a model by path within it.

    Raises:
        MismatchError: two have one path.
    """
    names = {layer.name for layer in model.layers}
    variables: dict[str, keras.Variable] = {}
    for variable in model.weights:
        parts = variable.path.split("/")
        # Layers built with a model around theirs have its name before theirs.
        start = next((i for i, part in enumerate(parts) if part in names), 0)
        path = "/".join(parts[start:])
        if path in variables:
            raise MismatchError(
                f"Expected one variable {path!r}. Received: two of this path "
                f"in {model.name!r}.",
                "Load the networks inside it one by one.",
            )
        variables[path] = variable
    return variables


def _plan(
    variables: Mapping[str, keras.Variable],
    checkpoint: ResNetCheckpoint,
    new_head: bool,
) -> AssignmentPlan:
    plan = AssignmentPlan(checkpoint)
    norms: dict[str, None] = {}  # an ordered set
    blocks = []
    for path, variable in variables.items():
        weight = _parse_path(path, checkpoint)
        layer = path.rsplit("/", 1)[0]
        if weight is not None and weight.is_norm:
            norms[layer] = None
        elif weight is None or weight.part != "logits":
            _plan_variable(plan, path, weight, tuple(variable.shape))
        if weight is not None and weight.inner == "out":
            blocks.append(layer.removesuffix("/out"))
    for layer in norms:
        plan_norm(plan, layer, variables)
    for block in dict.fromkeys(blocks):
        if not {f"{block}/bn", f"{block}/affine"} & set(norms):
            fold_norm_into_block(plan, block)
    if "logits/kernel" in variables and not new_head:
        _plan_head(plan, tuple(variables["logits/kernel"].shape))
    return plan


def _parse_path(path: str, checkpoint: ResNetCheckpoint) -> Weight | None:
    weight = parse_path(path)
    if weight is None and checkpoint.format.name != "nonlocal_tf":
        raise MismatchError(
            f"{checkpoint.path} has the weights of a residual network, in the "
            f"names of {checkpoint.format.name}. Received another network, "
            f"with {path!r}.",
            "Expected a model such as nl.create_model('c2d_nl5_r50') to fill.",
        )
    return weight


def _plan_variable(
    plan: AssignmentPlan,
    path: str,
    weight: Weight | None,
    shape: tuple[int, ...],
) -> None:
    """Plan the value of a variable that is not in a normalization."""
    if weight is None:  # another network, whose files have variable paths
        stored = None
        if path in plan.checkpoint.arrays:
            stored = path, plan.checkpoint.arrays[path]
    else:
        stored = plan.lookup(weight)
    if stored is None:
        if weight and (weight.inner, weight.role) == ("out", "bias"):
            if plan.lookup(dataclasses.replace(weight, role="kernel")):
                plan.add(path, np.zeros(shape), ())  # mmaction2 has none
                plan.converted.append(path)
                return
        plan.add_missing(path, weight)
        return
    name, array = stored
    array, is_inflated = _match_rank(array, shape)
    if is_inflated:
        plan.inflated.append(path)
    plan.check_shape(name, path, array.shape, shape)
    plan.add(path, array, (name,))


def _match_rank(
    array: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, bool]:
    """Drop or add axes of a kernel; return it and True if it was inflated."""
    if len(shape) == 2 and array.ndim > 2 and set(array.shape[:-2]) == {1}:
        return array.reshape(array.shape[-2:]), False  # a 1 x 1 x 1 kernel
    if array.ndim == 5 and len(array) == 1 != shape[0] and len(shape) > 3:
        array = array[0]  # a single frame, like a kernel on images
    if array.ndim == 4 and len(shape) == 5:
        return inflate_kernel(array, shape[0]), True
    return array, False


def _plan_head(plan: AssignmentPlan, shape: tuple[int, ...]) -> None:
    """Plan the classifier if it has as many classes as the model.

    Raises:
        CheckpointError: its kernel or its bias is missing or does not fit.
    """
    stored = {
        role: plan.lookup(Weight("logits", role=role))
        for role in ("kernel", "bias")
    }
    if stored["kernel"] is None and stored["bias"] is None:
        return
    pairs = []
    for role, pair in stored.items():
        if pair is None:
            names = plan.checkpoint.format.names(Weight("logits", role=role))
            raise CheckpointError(
                f"{plan.checkpoint.path}: {names[0]!r} of the classifier is "
                "missing."
            )
        pairs.append(pair)
    (kernel_name, kernel), (bias_name, bias) = pairs
    kernel, _ = _match_rank(kernel, shape)
    classes = kernel.shape[-1] if kernel.ndim else 0
    plan.check_shape(
        kernel_name, "logits/kernel", kernel.shape, (shape[0], classes)
    )
    plan.check_shape(bias_name, "logits/bias", bias.shape, (classes,))
    if classes == shape[1]:
        plan.add("logits/kernel", kernel, (kernel_name,))
        plan.add("logits/bias", bias, (bias_name,))


def _checked_kept(
    plan: AssignmentPlan, variables: Mapping[str, keras.Variable]
) -> tuple[str, ...]:
    """Return variables that keep their initial values.

    Only the classifier may, and non-local blocks if the file has none.

    Raises:
        CheckpointError: another variable is not in the file.
    """
    checkpoint = plan.checkpoint
    has_blocks = any(
        "nonlocal" in n or "non_local" in n for n in checkpoint.arrays
    )
    unfilled = [path for path in variables if path not in plan.values]
    optional = []
    for path in unfilled:
        weight = parse_path(path)
        is_head = weight is not None and weight.part == "logits"
        is_block = weight is not None and weight.part == "nonlocal"
        if is_head or (is_block and not has_blocks):
            optional.append(path)
    required = [path for path in unfilled if path not in optional]
    if required:
        layer = required[0].rsplit("/", 1)[0]
        first = next(
            (m for m in plan.missing if m.startswith(layer)), required[0]
        )
        raise MismatchError(
            f"{checkpoint.path} does not fit the model: it has no "
            f"{plan.missing.get(first, first)!r} for {first!r}"
            + (
                f", and {len(required) - 1} more are missing"
                if required[1:]
                else ""
            )
            + ".",
            REMEDY,
            _network_name(checkpoint),
        )
    return tuple(optional)


def _check_unused(plan: AssignmentPlan, unused: Sequence[str]) -> None:
    """Raise a MismatchError if a weight but the classifier is unused."""
    checkpoint = plan.checkpoint
    head = {
        name
        for role in ("kernel", "bias")
        for name in checkpoint.format.names(Weight("logits", role=role))
    }
    extra = [name for name in unused if name not in head]
    if extra:
        raise MismatchError(
            f"{checkpoint.path} does not fit the model: the model has "
            f"no variable for {extra[0]!r}"
            + (f" and {len(extra) - 1} more" if extra[1:] else "")
            + ".",
            REMEDY,
            _network_name(checkpoint),
        )


def _network_name(checkpoint: ResNetCheckpoint) -> str:
    """Return the name of a file's network, "" if it cannot be inferred."""
    try:
        return infer_architecture.infer(checkpoint).name
    except CheckpointError:
        return ""


def _differences(
    model: keras.Model, checkpoint: ResNetCheckpoint
) -> tuple[str, ...]:
    file_format = checkpoint.format
    kernel = checkpoint.arrays.get(file_format.names(Weight("stem"))[0])
    if kernel is None:
        return ()
    kernel = to_keras_layout(kernel, "kernel", file_format)
    is_inflated = kernel.ndim == 5 and len(kernel) > 1
    expected = architecture_metadata.expected(
        file_format,
        checkpoint.metadata,
        is_inflated,
        is_heavy=is_inflated and "heavy" in _network_name(checkpoint),
    )
    return tuple(architecture_metadata.differences(model, expected).values())
