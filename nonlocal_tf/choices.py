"""One way to say that a name is not in a table."""

import difflib
from collections.abc import Iterable


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
