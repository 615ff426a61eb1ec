"""One way to say that a name is not in a table."""

import difflib
import inspect
from collections.abc import Callable, Iterable


def unknown(kind: str, name: object, expected: Iterable[str]) -> str:
    """Error text for a name that is not among the expected ones.

    >>> unknown("pairwise function", "gausian", ["gaussian", "dot_product"])
    "Unknown pairwise function 'gausian'. Did you mean 'gaussian'? Expected \
one of: gaussian, dot_product."
    """
    names = list(expected)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"Unknown {kind} {name!r}.{hint} Expected one of: {', '.join(names)}."
    )


def check_arguments(of: str, function: Callable, given: Iterable[str]) -> None:
    """Finds misspelt keyword arguments before they are passed on.

    Args:
        of: what they are arguments of, for the message.
        function: that would take them.
        given: their names.

    Raises:
        TypeError: the function does not have one of them.
    """
    expected = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in expected.values()):
        return
    names = [n for n, p in expected.items() if p.kind is not p.POSITIONAL_ONLY]
    for name in given:
        if name not in names:
            raise TypeError(unknown(f"argument of {of}", name, names))
