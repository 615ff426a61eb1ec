"""Checks of arguments, and the error for a name that is not in a table."""

import difflib
import inspect
import numbers
from collections.abc import Callable, Iterable
from typing import TypeGuard


def unknown(kind: str, name: object, expected: Iterable[str]) -> str:
    """Format the error message for a name that is not an expected one.

    Args:
        kind: noun for the name, such as "pairwise function".
        name: the name received.
        expected: the names to choose from.

    Example:

    >>> unknown("pairwise function", "gausian", ["gaussian", "dot_product"])
    "Unknown pairwise function 'gausian'. Did you mean 'gaussian'? Expected \
one of: gaussian, dot_product."
    """
    names = list(expected)
    by_lower_case = {choice.lower(): choice for choice in names}
    near = difflib.get_close_matches(
        str(name).lower(), by_lower_case, n=1, cutoff=0.5
    )
    hint = f" Did you mean {by_lower_case[near[0]]!r}?" if near else ""
    return (
        f"Unknown {kind} {name!r}.{hint} Expected one of: {', '.join(names)}."
    )


def check_arguments(
    owner: str, function: Callable, arguments: Iterable[str]
) -> None:
    """Check the names of keyword arguments before a call.

    Args:
        owner: name of the function in the error message.
        function: function to be called.
        arguments: names of the keyword arguments.

    Raises:
        TypeError: the function has no argument of one of these names.
    """
    expected = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in expected.values()):
        return
    names = [n for n, p in expected.items() if p.kind is not p.POSITIONAL_ONLY]
    for name in arguments:
        if name not in names:
            raise TypeError(unknown(f"argument of {owner}", name, names))


def is_positive_integer(value: object) -> TypeGuard[int]:
    """Return True for an integer above zero, NumPy's included."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        return False
    return int(value) > 0
