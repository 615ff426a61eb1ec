"""Checks of the constructor arguments of a non-local block."""

import math
import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from nonlocal_tf.choices import is_positive_integer, unknown
from nonlocal_tf.layers import masking

if TYPE_CHECKING:
    from nonlocal_tf.layers.nonlocal_block import NonLocalBlock

ChoiceT = TypeVar("ChoiceT")


def checked_choice(
    argument: str, name: ChoiceT, expected: Sequence[ChoiceT]
) -> ChoiceT:
    """Return a name that is among the expected ones.

    Raises:
        ValueError: an unknown name.
    """
    if name not in expected:
        raise ValueError(unknown(argument, name, map(str, expected)))
    return name


def checked_count(argument: str, count: int) -> int:
    """Return a positive integer.

    Raises:
        ValueError: another value.
    """
    if not is_positive_integer(count):
        raise ValueError(
            f"Expected `{argument}` to be an integer of at least 1. "
            f"Received: {argument}={count!r}"
        )
    return int(count)


def optional_count(argument: str, count: int | None) -> int | None:
    """Return None or a positive integer, as `checked_count` does."""
    return None if count is None else checked_count(argument, count)


def checked_flag(argument: str, flag: bool) -> bool:
    """Return True or False.

    Raises:
        ValueError: another value; a string such as "false" would be true.
    """
    is_flag = isinstance(flag, (bool, np.bool_, int)) and flag in (0, 1)
    if not is_flag:
        raise ValueError(
            f"Expected `{argument}` to be True or False. "
            f"Received: {argument}={flag!r}"
        )
    return bool(flag)


def checked_number(
    argument: str,
    number: float,
    least: float = -math.inf,
    most: float = math.inf,
) -> float:
    """Return a finite number of an interval.

    Raises:
        ValueError: another value.
    """
    is_number = isinstance(number, numbers.Real) and not isinstance(
        number, bool
    )
    if (
        not is_number
        or not math.isfinite(number)
        or not least <= number <= most
    ):
        interval = "" if least == -math.inf else f" of at least {least:g}"
        interval += "" if most == math.inf else f" and at most {most:g}"
        raise ValueError(
            f"Expected `{argument}` to be a finite number{interval}. "
            f"Received: {argument}={number!r}"
        )
    return float(number)


def check_options(block: "NonLocalBlock") -> None:
    """Check that the options of a block go together.

    Raises:
        ValueError: two of them do not; the message names both.
    """
    if block.tie_theta_phi_init and not block.pairwise.embeds:
        raise ValueError(
            "`tie_theta_phi_init` needs a pairwise function with theta and "
            f"phi. Received: pairwise={block.pairwise_label!r}"
        )
    if block.causal:
        masking.check_causal_options(block.axes, block.pairwise)
    if block.gate and block.norm != "none":
        raise ValueError(
            "A gate takes the place of the normalization. Expected "
            f"norm='none' with gate={block.gate!r}. "
            f"Received: norm={block.norm!r}"
        )
    if block.norm == "none":
        _check_no_norm_options(block)
    if block.norm == "affine" and block.bn_synchronized:
        raise ValueError(
            "`bn_synchronized` goes with norm='batch'. Received: norm='affine'"
        )


def _check_no_norm_options(block: "NonLocalBlock") -> None:
    if block.gamma_init and not block.gate:
        raise ValueError(
            "`gamma_init` needs a normalization or a gate; for a block that is "
            "not initialized as the identity with norm='none' use "
            "`out_initializer`. Received: norm='none', "
            f"gamma_init={block.gamma_init!r}"
        )
    if block.freeze_norm or block.bn_synchronized:
        raise ValueError(
            "`bn_synchronized` and `freeze_norm` need a normalization. "
            f"Received: norm='none', bn_synchronized={block.bn_synchronized}, "
            f"freeze_norm={block.freeze_norm}"
        )
