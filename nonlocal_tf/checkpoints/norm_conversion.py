"""Conversion between batch normalization and a fixed scale and shift."""

import dataclasses
import typing
from collections.abc import Mapping

import keras
import numpy as np

from nonlocal_tf.checkpoints.assignment_plan import AssignmentPlan
from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.checkpoints.formats import (
    BN_EPSILON,
    KERAS_EPSILON,
    NORM_ROLES,
    Weight,
    parse_path,
)

NamedArray = tuple[str, np.ndarray]


def plan_norm(
    plan: AssignmentPlan, layer: str, variables: Mapping[str, keras.Variable]
) -> None:
    """Plan the values of a normalization layer, converted where needed.

    The file and the model may each have batch normalization (with statistics)
    or a scale and shift (without).

    Args:
        plan: the plan to extend.
        layer: path of the normalization layer.
        variables: variables of the model, by path.

    Raises:
        CheckpointError: a part is missing, a shape does not fit, or a variance
            is negative.
    """
    gamma = typing.cast(Weight, parse_path(f"{layer}/gamma"))
    roles = [role for role in NORM_ROLES if f"{layer}/{role}" in variables]
    size = tuple(variables[f"{layer}/gamma"].shape)
    stored = _stored_norm(plan, gamma, layer, size)
    if not stored and not _is_block_without_norm(plan, gamma):
        for role in roles:
            weight = dataclasses.replace(gamma, role=role)
            plan.add_missing(f"{layer}/{role}", weight)
        return
    names = [name for name, _ in stored.values()]
    values = {
        "gamma": np.ones(size),
        "beta": np.zeros(size),
        **{role: array for role, (_, array) in stored.items()},
    }
    if plan.checkpoint.format.conv_bias and "moving_mean" in values:
        conv_bias = dataclasses.replace(gamma, is_norm=False, role="bias")
        name, array = plan.lookup(conv_bias) or ("", np.zeros(size))
        plan.check_shape(name, f"{layer}/beta", array.shape, size)
        names += [name] if name else []
        values = _absorb_bias(values, array)
    if ("moving_mean" in values) != ("moving_mean" in roles):
        convert = (
            _to_statistics if "moving_mean" in roles else _to_scale_and_shift
        )
        values = convert(values)
    is_unchanged = all(
        role in stored and values[role] is stored[role][1] for role in roles
    )
    for role in roles:
        path = f"{layer}/{role}"
        plan.add(path, values[role], tuple(names))
        if not is_unchanged:
            plan.converted.append(path)


def _stored_norm(
    plan: AssignmentPlan, gamma: Weight, layer: str, size: tuple[int, ...]
) -> dict[str, NamedArray]:
    """Look up a normalization in the file, `{role: (name, array)}`.

    Empty if the file has no part of it.

    Raises:
        CheckpointError: a part is missing, a shape does not fit, or a variance
            is negative.
    """
    stored = {}
    for role in NORM_ROLES:
        pair = plan.lookup(dataclasses.replace(gamma, role=role))
        if pair is not None:
            plan.check_shape(pair[0], f"{layer}/{role}", pair[1].shape, size)
            stored[role] = pair
    # Scale and shift come together, and so do the statistics, never alone.
    is_complete = all(
        (first in stored) == (second in stored)
        for first, second in (NORM_ROLES[:2], NORM_ROLES[2:])
    )
    if stored and not (is_complete and "gamma" in stored):
        missing = next(role for role in NORM_ROLES if role not in stored)
        names = plan.checkpoint.format.names(
            dataclasses.replace(gamma, role=missing)
        )
        raise CheckpointError(
            f"{plan.checkpoint.path} does not fit the model: it has no "
            f"{names[0]!r} for {layer!r}."
        )
    variance = stored.get("moving_variance")
    if variance is not None and np.any(variance[1] < 0):
        raise CheckpointError(
            f"{plan.checkpoint.path}: {variance[0]!r} has negative variances."
        )
    return stored


def fold_norm_into_block(plan: AssignmentPlan, block: str) -> None:
    """Fold the file's normalization into W_z of a block that has none.

    Args:
        plan: a plan with the block's `out`, if the file has it.
        block: path of the non-local block.

    Raises:
        CheckpointError: see `plan_norm`, or the block has no bias for the
            shift.
    """
    kernel_path, bias_path = f"{block}/out/kernel", f"{block}/out/bias"
    if kernel_path not in plan.values:
        return
    kernel = plan.values[kernel_path]
    gamma = typing.cast(Weight, parse_path(f"{block}/bn/gamma"))
    stored = _stored_norm(plan, gamma, f"{block}/bn", kernel.shape[-1:])
    if not stored:
        return
    values = {role: array for role, (_, array) in stored.items()}
    if "moving_mean" in values:
        values = _to_scale_and_shift(values)
    if bias_path not in plan.values:
        raise CheckpointError(
            f"{plan.checkpoint.path}: its normalization "
            f"{stored['beta'][0]!r} has a shift, but the model's {block!r} "
            "has no bias. Build the block with out_bias=True."
        )
    scaled_kernel = kernel * values["gamma"]
    bias = plan.values[bias_path] * values["gamma"] + values["beta"]
    norm_names = tuple(name for name, _ in stored.values())
    for path, value in ((kernel_path, scaled_kernel), (bias_path, bias)):
        plan.add(path, value, (*plan.loaded[path], *norm_names))
        if path not in plan.converted:
            plan.converted.append(path)


def _is_block_without_norm(plan: AssignmentPlan, norm: Weight) -> bool:
    """Tell if the file has the norm's non-local block; its norm is missing."""
    kernel = dataclasses.replace(
        norm, inner="out", is_norm=False, role="kernel"
    )
    return norm.part == "nonlocal" and plan.lookup(kernel) is not None


def _absorb_bias(
    values: dict[str, np.ndarray], bias: np.ndarray
) -> dict[str, np.ndarray]:
    """Subtract a convolution's bias from the mean of its normalization.

    Keras' ResNets have such biases. They add another epsilon to the variance,
    too; the difference of both goes into the variance.
    """
    values = _in_float64(values)
    values["moving_mean"] = values["moving_mean"] - bias
    values["moving_variance"] = values["moving_variance"] + (
        KERAS_EPSILON - BN_EPSILON
    )
    return values


def _to_scale_and_shift(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the scale and shift of batch normalization in inference."""
    values = _in_float64(values)
    scale = values["gamma"] / np.sqrt(values["moving_variance"] + BN_EPSILON)
    shift = values["beta"] - scale * values["moving_mean"]
    return {"gamma": scale, "beta": shift}


def _to_statistics(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return batch normalization that equals a scale and shift."""
    zero = np.zeros_like(values["gamma"])
    return {
        **values,
        "moving_mean": zero,
        "moving_variance": zero + (1.0 - BN_EPSILON),
    }


def _in_float64(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {role: array.astype("float64") for role, array in values.items()}
