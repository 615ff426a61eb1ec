"""Read the recipe of a SavedModel."""

from ..exporting import saved_model
from ..io.paths import Path
from ..io.user_error import UserError
from ..recipes import overrides, trusted_cache
from ..recipes.schema import Recipe


def read(version: Path) -> Recipe | None:
    """Read assets/recipe.json of a version; None without it.

    Raises:
        UserError: it cannot be read.
    """
    path = version / saved_model.ASSETS / saved_model.RECIPE
    if not path.is_file():
        return None
    try:
        recipe = overrides.from_json(path.read_text("utf-8"))
    except overrides.OtherVersionError as error:
        raise UserError(
            f"{path}: {error}. Another version exported this model: export "
            "its run again, or use that version."
        ) from error
    except (UserError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from error
    return trusted_cache.without_foreign_cache(recipe, path)
