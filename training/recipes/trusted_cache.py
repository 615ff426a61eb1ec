"""Restrict the video cache of recipes from untrusted run folders."""

import dataclasses
import functools
import os
from typing import Any

from ..data import index_cache
from ..io.paths import UrlPath


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
    if cache is None or index_cache.is_trusted(cache):
        return recipe
    _note(str(cache), str(source))
    data = dataclasses.replace(recipe.data, cache=None)
    return dataclasses.replace(recipe, data=data)


@functools.cache  # once per process: recipes are read more than once
def _note(cache: str, source: str) -> None:
    print(
        f"note: ignoring data.cache={cache} of {source}: it is outside of your "
        "home and cache folders. To use it, give --set data.cache=FILE",
        flush=True,
    )
