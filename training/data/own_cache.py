"""Which caches of videos a recipe that someone else wrote may name."""

import dataclasses
import functools
import os
import pathlib
from typing import Any

from ..io.url_path import UrlPath
from . import index_cache


def without_foreign_cache(recipe: Any, source: os.PathLike | UrlPath) -> Any:
    """Return a recipe without a `data.cache` outside of the user's folders.

    A cache is written to, and what is read from it is believed. The user's
    folders are that of caches and all of the home folder that are not hidden.

    Args:
        recipe: as read from a file, of any kind.
        source: the file, for the note.
    """
    stage = getattr(recipe, "image_stage", None)
    if stage is not None:
        stage = without_foreign_cache(stage, source)
        recipe = dataclasses.replace(recipe, image_stage=stage)
    cache = getattr(getattr(recipe, "data", None), "cache", None)
    if cache is None or is_own(cache):
        return recipe
    _note(str(cache), str(source))
    data = dataclasses.replace(recipe.data, cache=None)
    return dataclasses.replace(recipe, data=data)


def is_own(path: str) -> bool:
    """Return whether a cache is in a folder of the user's."""
    try:
        place = pathlib.Path(os.path.realpath(os.path.expanduser(path)))
        folder = index_cache.default_path().parents[1]
        home = os.path.realpath(pathlib.Path.home())
    except (RuntimeError, ValueError):  # no home, or a name that cannot be
        return False
    if place.is_relative_to(os.path.realpath(folder)):
        return True
    return place.is_relative_to(home) and not any(
        part.startswith(".") for part in place.relative_to(home).parts
    )


@functools.cache  # once a process: recipes are read more than once
def _note(cache: str, source: str) -> None:
    print(
        f"note: ignoring data.cache={cache} of {source}: it is outside of your "
        "home and cache folders. To use it, give --set data.cache=FILE",
        flush=True,
    )
