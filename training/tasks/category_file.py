"""Categories of a run, for users without its annotations."""

import dataclasses
import json
from collections.abc import Sequence

from ..coco import category_fields
from ..coco.annotation_fields import InvalidEntry
from ..coco.annotations import Category
from ..io import atomic_files, json_text
from ..io.paths import Path
from ..io.user_error import UserError

CATEGORIES = "categories.json"


def write_categories(folder: Path, categories: Sequence[Category]) -> None:
    """Write categories.json of a run."""
    rows = [dataclasses.asdict(category) for category in categories]
    atomic_files.write_text(folder / CATEGORIES, json.dumps(rows, indent=2))


def read_categories(folder: Path) -> tuple[Category, ...]:
    """Read categories.json of a run.

    Raises:
        UserError: there is none, or it is damaged.
    """
    path = folder / CATEGORIES
    if not path.is_file():
        raise UserError(
            f"{folder} has no {CATEGORIES}: nothing was trained in it yet."
        )
    try:
        rows = json_text.parse_as(path.read_bytes(), [dict])
        return tuple(category_fields.category(row)[0] for row in rows)
    except (ValueError, InvalidEntry) as error:
        raise UserError(f"{path} cannot be read ({error}).") from error
