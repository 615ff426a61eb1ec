"""Validation of the categories of COCO annotations."""

from ..io import file_names, json_text
from . import annotation_fields as fields
from .annotation_fields import InvalidEntry, shown
from .annotations import Category


def category(entry: dict) -> tuple[Category, str]:
    """Read a category.

    Returns:
        The category, and a remark if its skeleton was skipped, else "".

    Raises:
        InvalidEntry: its id, its name or names of keypoints are invalid.
    """
    keypoints = _keypoint_names(entry)
    skeleton, remark = _skeleton(entry, len(keypoints))
    number = fields.whole_number(entry, "id")
    return Category(number, _name(entry), keypoints, skeleton), remark


def _name(entry: dict) -> str:
    name = entry.get("name")
    if not isinstance(name, str) or not name.strip():
        raise InvalidEntry("it has no name")
    _check_line("name", name)
    return name


def _check_line(field: str, text: str) -> None:
    """Check a name: files of class names are UTF-8 with a line for each."""
    if len(text.splitlines()) != 1 or not file_names.is_text(text):
        raise InvalidEntry(
            f"expected {field} to be a line of text, not {shown(text)}"
        )


def _keypoint_names(entry: dict) -> tuple[str, ...]:
    names = entry.get("keypoints") or []
    if not isinstance(names, list) or not all(
        isinstance(n, str) for n in names
    ):
        raise InvalidEntry("expected keypoints to be a list of names")
    if len(set(names)) < len(names):
        raise InvalidEntry("two of its keypoints have the same name")
    for name in names:
        _check_line("keypoints", name)
    return tuple(names)


def _skeleton(entry: dict, num_keypoints: int) -> tuple[tuple, str]:
    """Read pairs of keypoints; they are for drawings alone.

    Returns:
        The pairs, and a remark if they were skipped, else "".
    """
    pairs = entry.get("skeleton") or []
    if not isinstance(pairs, list):
        pairs = [pairs]
    skeleton = []
    for pair in pairs:
        values = pair if isinstance(pair, list) else []
        numbers = [json_text.whole_number(value) for value in values]
        joints = tuple(
            n for n in numbers if n is not None and 1 <= n <= num_keypoints
        )
        if not len(joints) == len(numbers) == 2:
            return (), (
                "its skeleton is skipped: expected pairs of keypoints from 1 "
                f"to {num_keypoints}, not {shown(pair)}"
            )
        skeleton.append(joints)
    return tuple(skeleton), ""
