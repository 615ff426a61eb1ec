"""A picture and its objects as arrays, scaled and perhaps mirrored."""

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from ..io.user_error import UserError
from . import coco_api, images
from .annotations import Category, Picture

# Words of keypoints that change places in a mirror.
OTHER_SIDE = {"left": "right", "right": "left", "l": "r", "r": "l"}
# A word of a name: "leftEye", "LEye" and "left_eye" have two.
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")


@dataclasses.dataclass(frozen=True)
class Example:
    """What is learnt from of one picture.

    Attributes:
        image: uint8 `(height, width, 3)`.
        boxes: float32 `(objects, 4)`, in its pixels.
        labels: int32 `(objects,)`, from 1 on.
        crowds: float32 `(regions, 4)`.
        masks: float32 `(objects, cells, cells)`, from 0 to 1, or None.
        mask_boxes: float32 `(objects, 4)`, what each mask covers, or None.
        keypoints: float32 `(objects, keypoints, 3)`, or None.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    crowds: np.ndarray
    masks: np.ndarray | None = None
    mask_boxes: np.ndarray | None = None
    keypoints: np.ndarray | None = None


def make(
    picture: Picture,
    image: np.ndarray,
    mask_cells: int = 0,
    keypoints: int = 0,
) -> Example:
    """The arrays of a picture.

    Args:
        picture: with its annotations.
        image: its pixels.
        mask_cells: along each side of a mask, or 0 for no masks. A mask is
            exact where its object has two pixels less, else the share of each
            cell.
        keypoints: of an object, or 0 for none.

    Raises:
        UserError: the pixels are of another size than the annotations, or an
            object has no mask where masks are wanted.
    """
    fault = images.size_fault(picture, image.shape[:2])
    if fault:
        raise UserError(f"image {picture.id}: {fault}")
    objects = [one for one in picture.instances if not one.is_crowd]
    crowds = [one.box for one in picture.instances if one.is_crowd]
    masks = covered = points = None
    if mask_cells:
        size = picture.height, picture.width
        pairs = [_mask(picture, one, size, mask_cells) for one in objects]
        masks = _stacked([m for m, _ in pairs], (mask_cells, mask_cells))
        covered = _stacked([box for _, box in pairs], (4,))
    if keypoints:
        points = _stacked(
            [np.reshape(one.keypoints, (-1, 3)) for one in objects],
            (keypoints, 3),
        )
    return Example(
        image,
        _stacked([one.box for one in objects], (4,)),
        np.array([one.label for one in objects], np.int32),
        _stacked(crowds, (4,)),
        masks,
        covered,
        points,
    )


def _stacked(rows: Sequence, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(rows, np.float32).reshape(len(rows), *shape)


def _mask(picture: Picture, one, size, cells: int):
    if one.segmentation is None:
        raise UserError(
            f"{picture.path}: annotation {one.id} has no segmentation, which "
            "masks are learnt from."
        )
    whole = coco_api.decode_mask(one.segmentation, size)
    return crop_mask(whole, one.box, cells)


def crop_mask(
    mask: np.ndarray, box: Sequence[float], cells: int
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """The part of a mask in a box, and a cell around it, as a square of cells.

    Args:
        mask: bool `(height, width)`.
        box: x1, y1, x2, y2; a larger one is taken where the mask is larger,
            as nothing is known behind the cells.
        cells: along each side, 3 at least.

    Returns:
        float32 `(cells, cells)`, and the box that they cover: one cell a
        pixel, or more pixels a cell where the box has more than `cells - 2`.
        What is outside of the picture is as its border.
    """
    height, width = mask.shape
    x1, y1, x2, y2 = _with_all_of(mask, box)
    (top, bottom), of_rows = _cells_along(y1, y2, height, cells)
    (left, right), of_columns = _cells_along(x1, x2, width, cells)
    part = of_rows @ mask.astype(np.float32) @ of_columns.T
    return part, (left, top, right, bottom)


def _with_all_of(mask: np.ndarray, box: Sequence[float]):
    """The box, or a larger one that all of the mask is in."""
    if not mask.any():
        return box
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return (
        min(box[0], columns[0]),
        min(box[1], rows[0]),
        max(box[2], columns[-1] + 1),
        max(box[3], rows[-1] + 1),
    )


def _cells_along(start: float, end: float, pixels: int, cells: int):
    """Cells along an axis.

    Returns:
        Where the first begins and the last ends, and how much of each cell
        each pixel is, `(cells, pixels)`.
    """
    first, last = np.floor(start), np.ceil(end)
    size = max(1.0, (last - first) / (cells - 2))  # of a cell, in pixels
    edges = first + size * np.arange(-1, cells)
    # The first pixel and the last go on outside of the picture.
    begins, ends = np.arange(pixels) * 1.0, np.arange(pixels) + 1.0
    begins[0], ends[-1] = min(begins[0], edges[0]), max(ends[-1], edges[-1])
    inside = np.minimum(edges[1:, None], ends) - np.maximum(
        edges[:-1, None], begins
    )
    shares = np.maximum(inside, 0) / size
    return (edges[0], edges[-1]), shares.astype(np.float32)


def mirrored(example: Example, partners: Sequence[int] = ()) -> Example:
    """The example in a mirror: left and right change places.

    Args:
        example: to be mirrored.
        partners: of each keypoint, the one that it becomes.
    """
    width = example.image.shape[1]
    changed: dict = {
        "image": np.ascontiguousarray(example.image[:, ::-1]),
        "boxes": _mirrored_boxes(example.boxes, width),
        "crowds": _mirrored_boxes(example.crowds, width),
    }
    if example.masks is not None:
        changed["masks"] = example.masks[:, :, ::-1]
        changed["mask_boxes"] = _mirrored_boxes(example.mask_boxes, width)
    if example.keypoints is not None:
        points = example.keypoints[:, list(partners)].copy()
        is_there = points[..., 2] > 0  # others are at 0, 0
        points[..., 0] = np.where(is_there, width - points[..., 0], 0)
        changed["keypoints"] = points
    return dataclasses.replace(example, **changed)


def _mirrored_boxes(boxes, width: int) -> np.ndarray:
    x1, y1, x2, y2 = boxes.T
    return np.stack([width - x2, y1, width - x1, y2], axis=-1)


def partners_of(category: Category) -> list[int]:
    """Of each keypoint the one that it becomes in a mirror.

    Raises:
        UserError: a left one has no right one, or the other way round, or
            which one is not to be told.
    """
    return [
        _partner(category, number) for number in range(len(category.keypoints))
    ]


def _partner(category: Category, number: int) -> int:
    name = category.keypoints[number]
    words = _words(name)
    other = tuple(OTHER_SIDE.get(word, word) for word in words)
    if not _has_side(name):
        return number
    found = [
        n for n, one in enumerate(category.keypoints) if _words(one) == other
    ]
    if len(found) == 1 and other != words:
        return found[0]
    raise UserError(
        f"Keypoint {name!r} of {category.name!r} has no partner that it "
        f"becomes in a mirror. Expected {' '.join(other)!r}, in whatever "
        "style, once among its keypoints. Switch mirroring off "
        "(images.horizontal_flip=False), or rename them."
    )


def _words(name: str) -> tuple[str, ...]:
    """A name's words in small letters, however it is written.

    >>> _words("leftEye"), _words("eye_left"), _words("L-eye")
    (('left', 'eye'), ('eye', 'left'), ('l', 'eye'))
    """
    return tuple(word.lower() for word in WORD.findall(name))


def _has_side(name: str) -> bool:
    """Whether it may be of a side: "left" or "right" are somewhere in it."""
    return any(side in name.lower() for side in ("left", "right")) or any(
        word in OTHER_SIDE for word in _words(name)
    )
