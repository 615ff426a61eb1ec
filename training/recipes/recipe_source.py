"""Recipes by name, from a JSON file, or from a function of the user."""

import inspect
from typing import Any

from ..io import paths, plugins
from ..io.user_error import UserError
from . import overrides, trusted_cache
from .schema import BaseRecipe, get_recipe


def load(source: str) -> Any:
    """Return the recipe that `--recipe` names.

    Args:
        source: the name of a registered recipe; the path or URL of a JSON file
            as run folders have it; or `MODULE:FUNCTION`, a function without
            arguments that returns a recipe. Settings may still change it, so
        `overrides.override` checks whether its values go together.

    Raises:
        UserError: there is no such recipe, or it is invalid.
    """
    if source.endswith(".json"):
        return _read(source)
    if ":" in source:
        return _call(source)
    return get_recipe(source)


def _read(source: str) -> Any:
    path = paths.as_path(source)
    if not path.is_file():
        raise UserError(
            "Expected a JSON file of a recipe, such as nonlocal-tf train "
            f"--recipe NAME --print writes. There is no file {path}."
        )
    try:
        recipe = overrides.from_json(path.read_text("utf-8"), False)
    except (UserError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from error
    return trusted_cache.without_foreign_cache(recipe, path)


def _call(source: str) -> Any:
    recipe = plugins.load_attribute(source)
    if callable(recipe):
        try:
            inspect.signature(recipe).bind()
        except TypeError as error:
            raise UserError(
                f"Expected {source} to be a function without arguments. "
                f"Calling it fails: {error}"
            ) from error
        recipe = recipe()
    if not isinstance(recipe, BaseRecipe):
        raise UserError(
            f"Expected {source} to return a recipe, such as "
            "dataclasses.replace(get_recipe('finetune'), ...). Received: "
            f"{type(recipe).__name__}"
        )
    return recipe
