"""Matching of a detector's categories with those of annotations."""

import dataclasses
from collections.abc import Sequence

from ..io.user_error import UserError
from .annotations import Annotations, Category

MAX_LISTED = 20  # categories in a message


def match_categories(
    annotations: Annotations, categories: Sequence[Category]
) -> list[Category]:
    """Give a detector's categories the ids that annotations have for them.

    Categories are matched by name; by id if the detector's names are numbers,
    or if a name is not unique. The detector may know more categories than the
    annotations, and they may list more than have objects.

    Raises:
        UserError: the detector does not know a category, or has neither names
            nor the same number of them.
    """
    key = "name" if match_by_name(annotations, categories) else "id"
    ids = {getattr(c, key): c.id for c in annotations.categories}
    keys = {getattr(c, key) for c in categories}
    labels = {instance.label for instance in annotations.instances}
    unknown = [
        category
        for label, category in enumerate(annotations.categories, start=1)
        if getattr(category, key) not in keys
        and (label in labels or key == "id")
    ]
    if unknown:
        raise UserError(
            f"{annotations.path}: the detector does not know category "
            f"{unknown[0].id}, {unknown[0].name!r}. Expected one of: "
            f"{_listed(categories)}"
        )
    if key == "id" and len(categories) != len(ids):
        raise UserError(
            f"{annotations.path} has {len(ids)} categories, and the detector "
            f"{len(categories)} without names to match them by: "
            f"{_listed(categories)}. Expected as many"
        )
    unused = 1 + max(ids.values())  # first id of no annotation
    return [
        dataclasses.replace(c, id=ids.get(getattr(c, key), unused + number))
        for number, c in enumerate(categories)
    ]


def match_by_name(
    annotations: Annotations, categories: Sequence[Category]
) -> bool:
    """Return True if both have unique names to match categories by."""
    return _has_names(categories) and _has_names(annotations.categories)


def _has_names(categories: Sequence[Category]) -> bool:
    names = {c.name for c in categories}
    is_numbered = all(c.name == f"class {c.id}" for c in categories)
    return len(names) == len(categories) and not is_numbered


def _listed(categories: Sequence[Category]) -> str:
    classes = [f"{c.id} {c.name!r}" for c in categories[:MAX_LISTED]]
    rest = len(categories) - len(classes)
    return ", ".join(classes + [f"{rest} more"] * (rest > 0))
