"""Puts the weights of a file into a model, all of them or none."""

import dataclasses
import typing

import keras
import numpy as np

from nonlocal_tf.models.inflate import inflate_kernel
from nonlocal_tf.weights import graph
from nonlocal_tf.weights.errors import CheckpointError
from nonlocal_tf.weights.names import (
    BN_EPSILON,
    KERAS_EPSILON,
    NORM_ROLES,
    Weight,
    to_ours,
    weight_of,
)
from nonlocal_tf.weights.read import Checkpoint
from nonlocal_tf.weights.report import Report


@dataclasses.dataclass
class _Plan:
    """Values for variables, before any is assigned."""

    checkpoint: Checkpoint
    values: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    loaded: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    inflated: list[str] = dataclasses.field(default_factory=list)
    converted: list[str] = dataclasses.field(default_factory=list)
    missing: dict[str, str] = dataclasses.field(default_factory=dict)

    def find(self, weight: Weight) -> tuple[str, np.ndarray] | None:
        """The name of a weight in the file, and its array in our layout."""
        form = self.checkpoint.form
        for name in form.names(weight):
            if name in self.checkpoint.arrays:
                array = self.checkpoint.arrays[name]
                return name, to_ours(array, weight.role, form)
        return None

    def miss(self, path: str, weight: Weight | None) -> None:
        """Notes what a variable would have been filled from."""
        names = self.checkpoint.form.names(weight) if weight else (path,)
        self.missing[path] = names[0] if names else "name"


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
    plan = _Plan(checkpoint)
    variables = {v.path: v for v in model.weights}
    norms: dict[str, None] = {}  # in order
    for path, variable in variables.items():
        weight = _weight(path, checkpoint)
        if weight is not None and weight.is_norm:
            norms[path.rsplit("/", 1)[0]] = None
        elif weight is None or weight.part != "logits":
            _plan_one(plan, path, weight, tuple(variable.shape))
    for layer in norms:
        _plan_norm(plan, layer, variables)
    for path in variables:
        _plan_bare_block(plan, path, norms)
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
        differs=tuple(_differences(model, checkpoint)),
    )


def _differences(model: keras.Model, checkpoint: Checkpoint):
    kernel = checkpoint.arrays.get(checkpoint.form.names(Weight("stem"))[0])
    form = checkpoint.form
    if kernel is None:
        return ()
    kernel = to_ours(kernel, "kernel", form)
    is_inflated = kernel.ndim == 5 and len(kernel) > 1
    expected = graph.expected_of(form, checkpoint.graph, is_inflated)
    return (text for _, text in graph.differences(model, expected))


def _weight(path: str, checkpoint: Checkpoint) -> Weight | None:
    weight = weight_of(path)
    if weight is None and checkpoint.form.name != "ours":
        raise CheckpointError(
            f"{checkpoint.path} does not fit the model. "
            "Expected a residual network of create_model, whose weights have "
            f"names in {checkpoint.form.name} files. Received a model with "
            f"{path!r}."
        )
    return weight


def _plan_one(plan, path, weight, shape) -> None:
    """A weight outside of the normalisations."""
    if weight is None:  # another network of ours, by its own names
        found = None
        if path in plan.checkpoint.arrays:
            found = path, plan.checkpoint.arrays[path]
    else:
        found = plan.find(weight)
    if found is None:
        has_kernel = weight is not None and weight.inner == "out"
        has_kernel = has_kernel and weight.role == "bias"
        if has_kernel and plan.find(dataclasses.replace(weight, role="kernel")):
            _take(plan, path, np.zeros(shape), ())  # mmaction2 has none
            plan.converted.append(path)
            return
        plan.miss(path, weight)
        return
    name, array = found
    array, is_inflated = _fit(array, shape)
    if is_inflated:
        plan.inflated.append(path)
    _check_shape(plan, name, path, array.shape, shape)
    _take(plan, path, array, (name,))


def _fit(array: np.ndarray, shape: tuple[int, ...]):
    """An array with as many axes as a shape, and whether it was inflated."""
    if len(shape) == 2 and array.ndim > 2 and set(array.shape[:-2]) == {1}:
        return array.reshape(array.shape[-2:]), False  # a 1 x 1 x 1 kernel
    if array.ndim == 5 and len(array) == 1 != shape[0] and len(shape) > 3:
        array = array[0]  # of a single frame, as of an image
    if array.ndim == 4 and len(shape) == 5:
        return inflate_kernel(array, shape[0]), True
    return array, False


def _plan_head(plan, shape) -> None:
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
    for role, pair in found.items():
        if pair is None:
            names = plan.checkpoint.form.names(Weight("logits", role=role))
            raise CheckpointError(
                f"{plan.checkpoint.path}: of the classifier {names[0]!r} is "
                "missing."
            )
    (kernel_name, kernel), (bias_name, bias) = found.values()
    kernel, _ = _fit(kernel, shape)
    classes = kernel.shape[-1] if kernel.ndim else 0
    _check_shape(
        plan, kernel_name, "logits/kernel", kernel.shape, (shape[0], classes)
    )
    _check_shape(plan, bias_name, "logits/bias", bias.shape, (classes,))
    if classes == shape[1]:
        _take(plan, "logits/kernel", kernel, (kernel_name,))
        _take(plan, "logits/bias", bias, (bias_name,))


def _plan_norm(plan, layer, variables) -> None:
    """A normalisation, whichever of two forms it has on either side.

    With statistics it is batch normalisation, without them a scale and a
    shift.
    """
    known = typing.cast(Weight, weight_of(f"{layer}/gamma"))
    roles = [role for role in NORM_ROLES if f"{layer}/{role}" in variables]
    size = tuple(variables[f"{layer}/gamma"].shape)
    found = _found_norm(plan, known, layer, size)
    if not found and not _is_bare_block(plan, known):
        for role in roles:
            missed = dataclasses.replace(known, role=role)
            plan.miss(f"{layer}/{role}", missed)
        return
    names = [name for name, _ in found.values()]
    values = {
        "gamma": np.ones(size),
        "beta": np.zeros(size),
        **{role: array for role, (_, array) in found.items()},
    }
    if plan.checkpoint.form.conv_bias and "moving_mean" in values:
        bias = plan.find(dataclasses.replace(known, is_norm=False, role="bias"))
        name, array = bias or ("", np.zeros(size))
        _check_shape(plan, name, f"{layer}/beta", array.shape, size)
        names += [name] if name else []
        values = _without_bias(values, array)
    if ("moving_mean" in values) != ("moving_mean" in roles):
        to = _statistics if "moving_mean" in roles else _scale_and_shift
        values = to(values)
    is_as_found = all(
        role in found and values[role] is found[role][1] for role in roles
    )
    for role in roles:
        path = f"{layer}/{role}"
        _take(plan, path, values[role], tuple(names))
        if not is_as_found:
            plan.converted.append(path)


def _found_norm(plan, known: Weight, layer: str, size) -> dict:
    """What the file has of a normalisation, `{role: (name, array)}`.

    Nothing, if it lacks any part of it.

    Raises:
        CheckpointError: a shape does not fit, or a variance is negative.
    """
    found = {}
    for role in NORM_ROLES:
        pair = plan.find(dataclasses.replace(known, role=role))
        if pair is not None:
            _check_shape(plan, pair[0], f"{layer}/{role}", pair[1].shape, size)
            found[role] = pair
    # Both of a pair or none of it; statistics do not come alone.
    is_whole = all(
        (one in found) == (other in found)
        for one, other in (NORM_ROLES[:2], NORM_ROLES[2:])
    )
    if found and not (is_whole and "gamma" in found):
        lacks = next(role for role in NORM_ROLES if role not in found)
        missed = dataclasses.replace(known, role=lacks)
        plan.miss(f"{layer}/{lacks}", missed)
        raise CheckpointError(
            f"{plan.checkpoint.path} does not fit the model: it has no "
            f"{plan.missing[f'{layer}/{lacks}']!r} for {layer!r}."
        )
    variance = found.get("moving_variance")
    if variance is not None and np.any(variance[1] < 0):
        raise CheckpointError(
            f"{plan.checkpoint.path}: {variance[0]!r} has negative variances."
        )
    return found


def _plan_bare_block(plan, path, norms) -> None:
    """W_z of a block without normalisation takes in that of the file."""
    layer, _, end = path.rpartition("/out/")
    weight = weight_of(path)
    if end != "kernel" or weight is None or weight.part != "nonlocal":
        return
    if path not in plan.values or f"{layer}/bn" in norms:
        return
    if f"{layer}/affine" in norms:
        return
    kernel = plan.values[path]
    size = kernel.shape[-1:]
    known = dataclasses.replace(weight, inner="bn", is_norm=True)
    found = _found_norm(plan, known, f"{layer}/bn", size)
    if not found:
        return
    values = {role: array for role, (_, array) in found.items()}
    if "moving_mean" in values:
        values = _scale_and_shift(values)
    bias = f"{layer}/out/bias"
    if bias not in plan.values:
        raise CheckpointError(
            f"{plan.checkpoint.path}: its normalisation {found['beta'][0]!r} "
            f"has a shift, and the model's {layer!r} has nothing for it. "
            "Build the block with out_bias=True."
        )
    shift = plan.values[bias] * values["gamma"] + values["beta"]
    own = tuple(name for name, _ in found.values())
    for one, value in ((path, kernel * values["gamma"]), (bias, shift)):
        _take(plan, one, value, (*plan.loaded[one], *own))
        if one not in plan.converted:
            plan.converted.append(one)


def _is_bare_block(plan, norm: Weight) -> bool:
    """Whether it belongs to a block that has no normalisation in the file."""
    kernel = dataclasses.replace(
        norm, inner="out", is_norm=False, role="kernel"
    )
    return norm.part == "nonlocal" and plan.find(kernel) is not None


def _without_bias(values: dict, bias: np.ndarray) -> dict:
    """Statistics after a convolution without the bias it had.

    What was added to everything is no more taken away with the mean; and the
    epsilon that Keras' ResNets add to the variance is not ours.
    """
    exact = {role: array.astype("float64") for role, array in values.items()}
    exact["moving_mean"] = exact["moving_mean"] - bias
    exact["moving_variance"] = exact["moving_variance"] + (
        KERAS_EPSILON - BN_EPSILON
    )
    return exact


def _scale_and_shift(values: dict) -> dict:
    """What batch normalisation does with fixed statistics."""
    exact = {role: array.astype("float64") for role, array in values.items()}
    gain = exact["gamma"] / np.sqrt(exact["moving_variance"] + BN_EPSILON)
    shift = exact["beta"] - gain * exact["moving_mean"]
    return {"gamma": gain, "beta": shift}


def _statistics(values: dict) -> dict:
    """Batch normalisation that does what a scale and a shift do."""
    zero = np.zeros_like(values["gamma"])
    return {
        **values,
        "moving_mean": zero,
        "moving_variance": zero + (1.0 - BN_EPSILON),
    }


def _take(plan, path, array, names) -> None:
    plan.values[path] = array
    plan.loaded[path] = names


def _check_shape(plan, name, path, shape, expected) -> None:
    if shape != expected:
        given = plan.checkpoint.arrays[name].shape
        raise CheckpointError(
            f"{plan.checkpoint.path}: {name!r} has the shape {given}. Expected "
            f"{expected} for {path!r}, in the order of Keras; received "
            f"{shape} in that order."
        )


def _checked_kept(plan, variables) -> tuple[str, ...]:
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
        raise CheckpointError(
            f"{checkpoint.path} does not fit the model: it has no "
            f"{plan.missing.get(first, first)!r} for {first!r}"
            + (f", and {len(wrong) - 1} more are missing" if wrong[1:] else "")
            + ". Build the model of the file with from_checkpoint, or give "
            "create_model its depth, places and norm."
        )
    return tuple(may)


def _check_unused(plan, unused) -> None:
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
        raise CheckpointError(
            f"{plan.checkpoint.path} does not fit the model: the model has "
            f"nothing for {wrong[0]!r}"
            + (f" and {len(wrong) - 1} more" if wrong[1:] else "")
            + ". Build the model of the file with from_checkpoint, or give "
            "create_model its depth, places and norm."
        )
