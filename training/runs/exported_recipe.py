"""Read the recipe of a SavedModel."""

from ..exporting import saved_model
from ..io.paths import Path
from ..recipes import overrides, trusted_cache
from ..recipes.schema import Recipe


def read(version: Path) -> Recipe | None:
    """Read assets/recipe.json of a version; None without it."""
    path = version / saved_model.ASSETS / saved_model.RECIPE
    if not path.is_file():
        return None
    recipe = overrides.from_json(path.read_text("utf-8"))
    return trusted_cache.without_foreign_cache(recipe, path)
