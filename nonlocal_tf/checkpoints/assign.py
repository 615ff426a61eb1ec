"""Puts the weights of a file into a model, all of them or none."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import keras
import numpy as np

from nonlocal_tf.checkpoints import architecture_metadata, infer_architecture
from nonlocal_tf.checkpoints.assignment_plan import Plan
from nonlocal_tf.checkpoints.errors import CheckpointError, MisfitError
from nonlocal_tf.checkpoints.formats import Weight, to_ours, weight_of
from nonlocal_tf.checkpoints.load_report import Report
from nonlocal_tf.checkpoints.norm_conversion import plan_bare_block, plan_norm
from nonlocal_tf.checkpoints.read import Checkpoint
from nonlocal_tf.models.inflation import inflate_kernel

BUILD_ITS_MODEL = (
    "Build the model of the file with from_checkpoint, or give create_model "
    "its depth, places and norm."
)


def load(
    model: keras.Model, checkpoint: Checkpoint, new_head: bool = False
) -> Report:
    """Fills a model's variables from a file; changes none if one is wrong.

    Args:
        model: of `create_model`.
        checkpoint: what was read.
        new_head: leave the classifier as it is initialised.

    Raises:
        CheckpointError: something is left on either side that may not be.
    """
    plan = Plan(checkpoint)
    variables = {v.path: v for v in model.weights}
    norms: dict[str, None] = {}  # in order
    blocks = []
    for path, variable in variables.items():
        weight = _weight(path, checkpoint)
        layer = path.rsplit("/", 1)[0]
        if weight is not None and weight.is_norm:
            norms[layer] = None
        elif weight is None or weight.part != "logits":
            _plan_one(plan, path, weight, tuple(variable.shape))
        if weight is not None and weight.inner == "out":
            blocks.append(layer.removesuffix("/out"))
    for layer in norms:
        plan_norm(plan, layer, variables)
    for block in dict.fromkeys(blocks):
        if not {f"{block}/bn", f"{block}/affine"} & set(norms):
            plan_bare_block(plan, block)
    if "logits/kernel" in variables and not new_head:
        _plan_head(plan, tuple(variables["logits/kernel"].shape))
    kept = _checked_kept(plan, variables)
    used = {name for names in plan.loaded.values() for name in names}
    unused = tuple(n for n in checkpoint.arrays if n not in used)
    _check_unused(plan, unused)
    values = {k: np.asarray(v, "float32") for k, v in plan.values.items()}
    for path, value in values.items():
        variables[path].assign(value)
    return Report(
        path=checkpoint.path,
        format=checkpoint.form.name,
        loaded=plan.loaded,
        inflated=tuple(plan.inflated),
        converted=tuple(plan.converted),
        kept=kept,
        unused=unused,
        ignored=checkpoint.ignored,
        selected=checkpoint.selected,
        differs=tuple(_differences(model, checkpoint)),
    )


def _differences(model: keras.Model, checkpoint: Checkpoint) -> Iterable[str]:
    kernel = checkpoint.arrays.get(checkpoint.form.names(Weight("stem"))[0])
    form = checkpoint.form
    if kernel is None:
        return ()
    kernel = to_ours(kernel, "kernel", form)
    is_inflated = kernel.ndim == 5 and len(kernel) > 1
    expected = architecture_metadata.expected_of(
        form, checkpoint.graph, is_inflated
    )
    return (
        text for _, text in architecture_metadata.differences(model, expected)
    )


def _weight(path: str, checkpoint: Checkpoint) -> Weight | None:
    weight = weight_of(path)
    if weight is None and checkpoint.form.name != "ours":
        raise MisfitError(
            f"{checkpoint.path} has the weights of a residual network, in the "
            f"names of {checkpoint.form.name}. Received another network, with "
            f"{path!r}.",
            "Expected a model such as nl.create_model('c2d_nl5_r50') to fill.",
        )
    return weight


def _plan_one(
    plan: Plan, path: str, weight: Weight | None, shape: tuple[int, ...]
) -> None:
    """A weight outside of the normalisations."""
    if weight is None:  # another network of ours, by its own names
        found = None
        if path in plan.checkpoint.arrays:
            found = path, plan.checkpoint.arrays[path]
    else:
        found = plan.find(weight)
    if found is None:
        if weight and (weight.inner, weight.role) == ("out", "bias"):
            if plan.find(dataclasses.replace(weight, role="kernel")):
                plan.take(path, np.zeros(shape), ())  # mmaction2 has none
                plan.converted.append(path)
                return
        plan.miss(path, weight)
        return
    name, array = found
    array, is_inflated = _fit(array, shape)
    if is_inflated:
        plan.inflated.append(path)
    plan.check_shape(name, path, array.shape, shape)
    plan.take(path, array, (name,))


def _fit(array: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, bool]:
    """An array with as many axes as a shape, and whether it was inflated."""
    if len(shape) == 2 and array.ndim > 2 and set(array.shape[:-2]) == {1}:
        return array.reshape(array.shape[-2:]), False  # a 1 x 1 x 1 kernel
    if array.ndim == 5 and len(array) == 1 != shape[0] and len(shape) > 3:
        array = array[0]  # of a single frame, as of an image
    if array.ndim == 4 and len(shape) == 5:
        return inflate_kernel(array, shape[0]), True
    return array, False


def _plan_head(plan: Plan, shape: tuple[int, ...]) -> None:
    """The classifier as a whole, if it has the model's classes.

    Raises:
        CheckpointError: the file has half of it, or its parts do not fit.
    """
    found = {
        role: plan.find(Weight("logits", role=role))
        for role in ("kernel", "bias")
    }
    if found["kernel"] is None and found["bias"] is None:
        return
    pairs = []
    for role, pair in found.items():
        if pair is None:
            names = plan.checkpoint.form.names(Weight("logits", role=role))
            raise CheckpointError(
                f"{plan.checkpoint.path}: of the classifier {names[0]!r} is "
                "missing."
            )
        pairs.append(pair)
    (kernel_name, kernel), (bias_name, bias) = pairs
    kernel, _ = _fit(kernel, shape)
    classes = kernel.shape[-1] if kernel.ndim else 0
    plan.check_shape(
        kernel_name, "logits/kernel", kernel.shape, (shape[0], classes)
    )
    plan.check_shape(bias_name, "logits/bias", bias.shape, (classes,))
    if classes == shape[1]:
        plan.take("logits/kernel", kernel, (kernel_name,))
        plan.take("logits/bias", bias, (bias_name,))


def _checked_kept(
    plan: Plan, variables: Mapping[str, keras.Variable]
) -> tuple[str, ...]:
    """Variables that may stay as they are.

    Raises:
        CheckpointError: another one is not in the file.
    """
    checkpoint = plan.checkpoint
    has_blocks = any(
        "nonlocal" in n or "non_local" in n for n in checkpoint.arrays
    )
    left = [path for path in variables if path not in plan.values]
    may = []
    for path in left:
        weight = weight_of(path)
        is_head = weight is not None and weight.part == "logits"
        is_block = weight is not None and weight.part == "nonlocal"
        if is_head or (is_block and not has_blocks):
            may.append(path)
    wrong = [path for path in left if path not in may]
    if wrong:
        layer = wrong[0].rsplit("/", 1)[0]
        first = next((m for m in plan.missing if m.startswith(layer)), wrong[0])
        raise MisfitError(
            f"{checkpoint.path} does not fit the model: it has no "
            f"{plan.missing.get(first, first)!r} for {first!r}"
            + (f", and {len(wrong) - 1} more are missing" if wrong[1:] else "")
            + ".",
            BUILD_ITS_MODEL,
            _network(checkpoint),
        )
    return tuple(may)


def _network(checkpoint: Checkpoint) -> str:
    """The name of a file's network, "" where it does not show."""
    try:
        return infer_architecture.network_of(checkpoint).name
    except CheckpointError:
        return ""


def _check_unused(plan: Plan, unused: Sequence[str]) -> None:
    """Only a classifier may be left over.

    Raises:
        CheckpointError: something else is.
    """
    form = plan.checkpoint.form
    head = {
        name
        for role in ("kernel", "bias")
        for name in form.names(Weight("logits", role=role))
    }
    wrong = [name for name in unused if name not in head]
    if wrong:
        raise MisfitError(
            f"{plan.checkpoint.path} does not fit the model: the model has "
            f"nothing for {wrong[0]!r}"
            + (f" and {len(wrong) - 1} more" if wrong[1:] else "")
            + ".",
            BUILD_ITS_MODEL,
            _network(plan.checkpoint),
        )
