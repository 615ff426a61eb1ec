"""Losses, weights and outputs that are not finite, and what to do then."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from .user_error import UserError


class OutputsError(UserError):
    """The outputs of a model are not finite."""


def not_finite(values: Mapping[str, float | None]) -> str:
    """Name the first figure that is not finite, such as "val_loss is nan".

    Returns:
        "" if all are finite, or None.
    """
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            return f"{name} is {value}"
    return ""


def not_finite_epoch(history: Iterable[Mapping]) -> str:
    """Name the first figure of a run's epochs that is not finite."""
    for row in history:
        figure = not_finite(row)
        if figure:
            return f"{figure} in epoch {int(row['epoch'])}"
    return ""


def not_finite_array(names: Sequence[str], arrays: Iterable[np.ndarray]) -> str:
    """The name of the first array that is not finite, or ""."""
    for name, array in zip(names, arrays, strict=True):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return name
    return ""


def remedy(
    base_lr: float | None = None,
    precision: str = "float32",
    step: int | None = None,
) -> str:
    """Advice after a training that diverged, as a sentence.

    Args:
        base_lr: learning rate of the run, if known.
        precision: of its computation.
        step: the training step whose loss is not finite, if known.
    """
    if step == 1:
        return (
            "No weight was updated yet, so look at the settings of the network "
            "and at the weights that it started from."
        )
    was = "" if base_lr is None else f" (it was {base_lr:g})"
    also = ""
    if precision == "mixed_float16":
        also = " or --set training.precision=mixed_bfloat16"
    return (
        "Training diverged: train in a new --workdir with a lower --set "
        f"optimizer.base_lr{was}{also}."
    )


def outputs_error(model: object, detail: str = "") -> "OutputsError":
    """The error for a trained model whose outputs are not finite."""
    return OutputsError(
        f"{model}: the outputs are not finite{detail}. Its training diverged, "
        "or its weights are damaged: take another model, or train it anew with "
        "a lower optimizer.base_lr."
    )
