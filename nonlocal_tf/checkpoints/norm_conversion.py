"""Normalisations: batch normalisation, or a scale and a shift, from either."""

import dataclasses
import typing
from collections.abc import Mapping

import keras
import numpy as np

from nonlocal_tf.checkpoints.assignment_plan import Plan
from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.checkpoints.formats import (
    BN_EPSILON,
    KERAS_EPSILON,
    NORM_ROLES,
    Weight,
    weight_of,
)


def plan_norm(
    plan: Plan, layer: str, variables: Mapping[str, keras.Variable]
) -> None:
    """A normalisation, whichever of two forms it has on either side.

    With statistics it is batch normalisation, without them a scale and a
    shift.

    Args:
        plan: to which it is added.
        layer: path of the normalisation.
        variables: of the model, by path.

    Raises:
        CheckpointError: a part is missing, a shape does not fit, or a variance
            is negative.
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
        plan.check_shape(name, f"{layer}/beta", array.shape, size)
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
        plan.take(path, values[role], tuple(names))
        if not is_as_found:
            plan.converted.append(path)


def _found_norm(
    plan: Plan, known: Weight, layer: str, size: tuple[int, ...]
) -> dict[str, tuple[str, np.ndarray]]:
    """What the file has of a normalisation, `{role: (name, array)}`.

    Nothing, if it has no part of it.

    Raises:
        CheckpointError: a part is missing, a shape does not fit, or a variance
            is negative.
    """
    found = {}
    for role in NORM_ROLES:
        pair = plan.find(dataclasses.replace(known, role=role))
        if pair is not None:
            plan.check_shape(pair[0], f"{layer}/{role}", pair[1].shape, size)
            found[role] = pair
    # Both of a pair or none of it; statistics do not come alone.
    is_whole = all(
        (one in found) == (other in found)
        for one, other in (NORM_ROLES[:2], NORM_ROLES[2:])
    )
    if found and not (is_whole and "gamma" in found):
        lacks = next(role for role in NORM_ROLES if role not in found)
        names = plan.checkpoint.form.names(
            dataclasses.replace(known, role=lacks)
        )
        raise CheckpointError(
            f"{plan.checkpoint.path} does not fit the model: it has no "
            f"{names[0]!r} for {layer!r}."
        )
    variance = found.get("moving_variance")
    if variance is not None and np.any(variance[1] < 0):
        raise CheckpointError(
            f"{plan.checkpoint.path}: {variance[0]!r} has negative variances."
        )
    return found


def plan_bare_block(plan: Plan, layer: str) -> None:
    """W_z of a block without normalisation takes in that of the file.

    Args:
        plan: with the block's `out` planned, if the file has it.
        layer: path of the block.

    Raises:
        CheckpointError: as of `plan_norm`, or the block has nothing for a
            shift.
    """
    path, bias = f"{layer}/out/kernel", f"{layer}/out/bias"
    if path not in plan.values:
        return
    kernel = plan.values[path]
    known = typing.cast(Weight, weight_of(f"{layer}/bn/gamma"))
    found = _found_norm(plan, known, f"{layer}/bn", kernel.shape[-1:])
    if not found:
        return
    values = {role: array for role, (_, array) in found.items()}
    if "moving_mean" in values:
        values = _scale_and_shift(values)
    if bias not in plan.values:
        raise CheckpointError(
            f"{plan.checkpoint.path}: its normalisation {found['beta'][0]!r} "
            f"has a shift, and the model's {layer!r} has nothing for it. "
            "Build the block with out_bias=True."
        )
    shift = plan.values[bias] * values["gamma"] + values["beta"]
    own = tuple(name for name, _ in found.values())
    for one, value in ((path, kernel * values["gamma"]), (bias, shift)):
        plan.take(one, value, (*plan.loaded[one], *own))
        if one not in plan.converted:
            plan.converted.append(one)


def _is_bare_block(plan: Plan, norm: Weight) -> bool:
    """Whether it belongs to a block that has no normalisation in the file."""
    kernel = dataclasses.replace(
        norm, inner="out", is_norm=False, role="kernel"
    )
    return norm.part == "nonlocal" and plan.find(kernel) is not None


def _without_bias(
    values: dict[str, np.ndarray], bias: np.ndarray
) -> dict[str, np.ndarray]:
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


def _scale_and_shift(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What batch normalisation does with fixed statistics."""
    exact = {role: array.astype("float64") for role, array in values.items()}
    gain = exact["gamma"] / np.sqrt(exact["moving_variance"] + BN_EPSILON)
    shift = exact["beta"] - gain * exact["moving_mean"]
    return {"gamma": gain, "beta": shift}


def _statistics(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Batch normalisation that does what a scale and a shift do."""
    zero = np.zeros_like(values["gamma"])
    return {
        **values,
        "moving_mean": zero,
        "moving_variance": zero + (1.0 - BN_EPSILON),
    }
