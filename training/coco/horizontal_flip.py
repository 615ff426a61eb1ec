"""Horizontal flips of training examples, with left and right keypoints."""

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from ..io.user_error import UserError
from .annotations import Category
from .examples import Example

OPPOSITES = {"left": "right", "right": "left", "l": "r", "r": "l"}
# A word of a name: "leftEye", "LEye" and "left_eye" have two.
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")


def flip(example: Example, partners: Sequence[int] = ()) -> Example:
    """Flip an example horizontally.

    Args:
        example: to be flipped.
        partners: index of the keypoint that each keypoint becomes, of
            `keypoint_partners`.
    """
    width = example.image.shape[1]
    arrays: dict = {
        "image": np.ascontiguousarray(example.image[:, ::-1]),
        "boxes": _flip_boxes(example.boxes, width),
        "crowds": _flip_boxes(example.crowds, width),
    }
    if example.masks is not None:
        arrays["masks"] = example.masks[:, :, ::-1]
        arrays["mask_boxes"] = _flip_boxes(example.mask_boxes, width)
    if example.keypoints is not None:
        points = example.keypoints[:, list(partners)].copy()
        is_labeled = points[..., 2] > 0  # others are at 0, 0
        points[..., 0] = np.where(is_labeled, width - points[..., 0], 0)
        arrays["keypoints"] = points
    return dataclasses.replace(example, **arrays)


def _flip_boxes(boxes, width: int) -> np.ndarray:
    x1, y1, x2, y2 = boxes.T
    return np.stack([width - x2, y1, width - x1, y2], axis=-1)


def keypoint_partners(category: Category) -> list[int]:
    """Return the index of the keypoint that each keypoint becomes by a flip.

    Raises:
        UserError: a left keypoint has no right one, or vice versa, or several.
    """
    return [
        _partner(category, number) for number in range(len(category.keypoints))
    ]


def _partner(category: Category, number: int) -> int:
    name = category.keypoints[number]
    words = _words(name)
    opposite = tuple(OPPOSITES.get(word, word) for word in words)
    if not _has_side(name):
        return number
    partners = [
        index
        for index, candidate in enumerate(category.keypoints)
        if _words(candidate) == opposite
    ]
    if len(partners) == 1 and opposite != words:
        return partners[0]
    raise UserError(
        f"Keypoint {name!r} of {category.name!r} has no partner for a "
        f"horizontal flip. Expected {' '.join(opposite)!r}, in any style, once "
        "among its keypoints. Switch flips off (images.horizontal_flip=False), "
        "or rename the keypoints."
    )


def _words(name: str) -> tuple[str, ...]:
    """Split a name into words in lower case.

    >>> _words("leftEye"), _words("eye_left"), _words("L-eye")
    (('left', 'eye'), ('eye', 'left'), ('l', 'eye'))
    """
    return tuple(word.lower() for word in WORD.findall(name))


def _has_side(name: str) -> bool:
    """Return True for a name with "left" or "right" in it, or a word l or r."""
    return any(side in name.lower() for side in ("left", "right")) or any(
        word in OPPOSITES for word in _words(name)
    )
