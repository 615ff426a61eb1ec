"""Restrict the video cache of recipes from untrusted run folders."""

import dataclasses
import functools
import os
import pathlib
from typing import Any

from ..io.url_path import UrlPath
from . import index_cache


def without_foreign_cache(recipe: Any, source: os.PathLike | UrlPath) -> Any:
    """Remove `data.cache` from a recipe unless it is in the user's folders.

    A cache is written to, and its content is trusted. Allowed are the user's
    cache folder and all folders of the home folder that are not hidden.

    Args:
        recipe: a recipe of any kind, read from a file.
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
    """Return whether a cache is in one of the user's folders."""
    try:
        file = pathlib.Path(os.path.realpath(os.path.expanduser(path)))
        folder = index_cache.default_path().parents[1]
        home = os.path.realpath(pathlib.Path.home())
    except (RuntimeError, ValueError):  # no home folder, or an invalid name
        return False
    if file.is_relative_to(os.path.realpath(folder)):
        return True
    return file.is_relative_to(home) and not any(
        name.startswith(".") for name in file.relative_to(home).parts
    )


@functools.cache  # once per process: recipes are read more than once
def _note(cache: str, source: str) -> None:
    print(
        f"note: ignoring data.cache={cache} of {source}: it is outside of your "
        "home and cache folders. To use it, give --set data.cache=FILE",
        flush=True,
    )
