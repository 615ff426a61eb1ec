"""Expand ~ in paths of settings, where no shell does it."""

import os


def expand_home(config, *paths: str) -> None:
    """Replace ~ in fields of a frozen dataclass, in place.

    Shells do not expand it in `--set data.root=~/videos`.

    Args:
        config: the dataclass.
        *paths: names of its path fields.
    """
    for name in paths:
        path = getattr(config, name)
        if isinstance(path, str):
            object.__setattr__(config, name, os.path.expanduser(path))
