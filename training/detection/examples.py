"""A picture and its objects as arrays, scaled and perhaps mirrored."""

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from training.detection import coco_api
from training.detection.annotations import Category, Picture
from training.errors import UserError

# Names of keypoints that change places in a mirror.
SIDES = re.compile(r"\b(left|right)\b|(?<![a-z])(left|right)_", re.IGNORECASE)


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
            exact where its object is not larger, else the share of each cell.
        keypoints: of an object, or 0 for none.

    Raises:
        UserError: the pixels are of another size than the annotations, or an
            object has no mask where masks are wanted.
    """
    if image.shape[:2] != (picture.height, picture.width):
        raise UserError(
            f"{picture.path} has {image.shape[1]} x {image.shape[0]} pixels. "
            f"Expected those of its annotations, image {picture.id}: "
            f"{picture.width} x {picture.height}"
        )
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
    whole = coco_api.mask_of(one.segmentation, size)
    return crop_mask(whole, one.box, cells)


def crop_mask(
    mask: np.ndarray, box: Sequence[float], cells: int
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """The part of a mask in a box, as a square of cells.

    Args:
        mask: bool `(height, width)`.
        box: x1, y1, x2, y2.
        cells: along each side.

    Returns:
        float32 `(cells, cells)`, and the box that they cover: one cell a
        pixel from the box's corner on, or more pixels a cell.
    """
    left, top = (int(np.floor(side)) for side in box[:2])
    right, bottom = (int(np.ceil(side)) for side in box[2:])
    part = mask[top:bottom, left:right].astype(np.float32)
    height, width = part.shape
    if height > cells:
        part, height = _shares(height, cells) @ part, cells
        covered_y = bottom - top
    else:
        covered_y = cells
    if width > cells:
        part, width = part @ _shares(width, cells).T, cells
        covered_x = right - left
    else:
        covered_x = cells
    part = np.pad(part, ((0, cells - height), (0, cells - width)))
    covers = (left, top, left + covered_x, top + covered_y)
    return part, tuple(map(float, covers))  # type: ignore[return-value]


def _shares(pixels: int, cells: int) -> np.ndarray:
    """How much of each cell each pixel is, `(cells, pixels)`."""
    ends = np.arange(cells + 1) * (pixels / cells)
    at = np.arange(pixels)
    first = np.maximum(ends[:-1, None], at)
    last = np.minimum(ends[1:, None], at + 1)
    shares = np.maximum(last - first, 0) * (cells / pixels)
    return shares.astype(np.float32)


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
        UserError: a left one has no right one, or the other way round.
    """
    numbers = {name: n for n, name in enumerate(category.keypoints)}
    partners = []
    for name in category.keypoints:
        other = SIDES.sub(_other_side, name)
        if other not in numbers:
            raise UserError(
                f"Keypoint {name!r} of {category.name!r} has no partner "
                f"{other!r}, which it becomes in a mirror. Switch mirroring "
                "off, or name both."
            )
        partners.append(numbers[other])
    return partners


def _other_side(match: re.Match) -> str:
    text = match[0]
    side = "right" if "left" in text.lower() else "left"
    return re.sub("left|right", side, text, flags=re.IGNORECASE)
