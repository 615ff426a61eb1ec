"""Checks of the constructor arguments of a non-local block."""

from collections.abc import Sequence

from nonlocal_tf.choices import is_positive_integer, unknown
from nonlocal_tf.layers.pairwise import Pairwise


def check_choices(**choices: tuple[str | None, Sequence[str]]) -> None:
    """Check that names are among the expected ones; None passes.

    Args:
        **choices: name and expected names, by argument.

    Raises:
        ValueError: an unknown name.
    """
    for argument, (name, expected) in choices.items():
        if name is not None and name not in expected:
            raise ValueError(unknown(argument, name, expected))


def check_counts(**counts: int | None) -> None:
    """Check that arguments are positive integers; None passes.

    Raises:
        ValueError: another value.
    """
    for argument, count in counts.items():
        if count is not None and not is_positive_integer(count):
            raise ValueError(
                f"Expected `{argument}` to be an integer of at least 1. "
                f"Received: {argument}={count!r}"
            )


def check_tied(pairwise: Pairwise, tie_theta_phi_init: bool) -> None:
    """Check that theta and phi exist if they are to be tied.

    Raises:
        ValueError: they do not.
    """
    if tie_theta_phi_init and not pairwise.embeds:
        raise ValueError(
            "`tie_theta_phi_init` needs a pairwise function with theta and "
            f"phi. Received: pairwise={pairwise!r}"
        )


def check_residual_options(
    norm: str,
    gate: str | None,
    gamma_init: float,
    bn_synchronized: bool,
    freeze_norm: bool,
) -> None:
    """Check that the options of a residual go together.

    Raises:
        ValueError: they do not.
    """
    if gate and norm != "none":
        raise ValueError(
            "A gate takes the place of the normalization. Expected "
            f"norm='none' with gate={gate!r}. Received: norm={norm!r}"
        )
    if gamma_init and norm == "none" and not gate:
        raise ValueError(
            "`gamma_init` needs a normalization or a gate; for a block that is "
            "not initialized as the identity with norm='none' use "
            f"`out_initializer`. Received: gamma_init={gamma_init!r}"
        )
    if norm == "none" and (freeze_norm or bn_synchronized):
        raise ValueError(
            "`bn_synchronized` and `freeze_norm` need a normalization. "
            f"Received: norm='none', bn_synchronized={bn_synchronized!r}, "
            f"freeze_norm={freeze_norm!r}"
        )
    if norm == "affine" and bn_synchronized:
        raise ValueError(
            "`bn_synchronized` goes with norm='batch'. Received: norm='affine'"
        )
