"""Weights of classes in the loss, for classes of unequal frequency."""

from collections.abc import Sequence
from typing import Literal

from ..io.user_error import UserError

BALANCED: Literal["balanced"] = "balanced"


def class_weights(
    setting: Sequence[float] | Literal["balanced"] | None,
    classes: Sequence[str],
    counts: Sequence[int] | None,
) -> list[float] | None:
    """Return the weight of each class's examples; None for 1.

    Args:
        setting: a weight for each class; or "balanced", in inverse proportion
            to their frequency: examples / (classes x examples of the class),
            as in scikit-learn.
        classes: names, in the order of the labels.
        counts: training examples of each class; None where all are equally
            frequent.

    Raises:
        UserError: there are not as many weights as classes.
    """
    if setting is None or (setting == BALANCED and counts is None):
        return None
    if setting == BALANCED:
        return balanced(counts or ())
    if len(setting) != len(classes):
        raise UserError(
            "Expected training.class_weights as one for each of "
            f"{len(classes)} classes, in this order: {', '.join(classes)}. "
            f"Received: {tuple(setting)}"
        )
    return [float(weight) for weight in setting]


def balanced(counts: Sequence[int]) -> list[float]:
    """Return weights that give all classes with examples the same sum.

    Args:
        counts: examples of each class.
    """
    present = sum(count > 0 for count in counts)
    return [
        sum(counts) / (present * count) if count else 1.0 for count in counts
    ]
