"""Training examples: an image and its annotations as arrays."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..io.user_error import UserError
from . import coco_api, image_files
from .annotations import AnnotatedImage, Instance


@dataclasses.dataclass(frozen=True)
class Example:
    """Arrays of one image.

    Attributes:
        image: uint8 `(height, width, 3)`.
        boxes: float32 `(objects, 4)`, in its pixels.
        labels: int32 `(objects,)`, from 1 on.
        crowds: float32 `(regions, 4)`.
        masks: float32 `(objects, cells, cells)`, from 0 to 1, or None.
        mask_boxes: float32 `(objects, 4)`, the part of the image that each
            mask covers, or None.
        keypoints: float32 `(objects, keypoints, 3)`, or None.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    crowds: np.ndarray
    masks: np.ndarray | None = None
    mask_boxes: np.ndarray | None = None
    keypoints: np.ndarray | None = None


def make_example(
    annotated: AnnotatedImage,
    pixels: np.ndarray,
    mask_cells: int = 0,
    num_keypoints: int = 0,
) -> Example:
    """Convert the annotations of an image to arrays.

    Args:
        annotated: the image and its annotations.
        pixels: uint8 `(height, width, 3)`.
        mask_cells: side of the grid of a mask, or 0 for no masks. A mask is
            exact if its object is smaller by two pixels, else resampled.
        num_keypoints: keypoints of an object, or 0 for none.

    Raises:
        UserError: the image has another size than its annotations, or an
            object has no mask.
    """
    fault = image_files.size_fault(annotated, pixels.shape[:2])
    if fault:
        raise UserError(f"image {annotated.id}: {fault}")
    objects = [i for i in annotated.instances if not i.is_crowd]
    crowds = [i.box for i in annotated.instances if i.is_crowd]
    masks = mask_boxes = keypoints = None
    if mask_cells:
        pairs = [_mask(annotated, i, mask_cells) for i in objects]
        masks = _stack([mask for mask, _ in pairs], (mask_cells, mask_cells))
        mask_boxes = _stack([box for _, box in pairs], (4,))
    if num_keypoints:
        keypoints = _stack(
            [np.reshape(i.keypoints, (-1, 3)) for i in objects],
            (num_keypoints, 3),
        )
    return Example(
        pixels,
        _stack([i.box for i in objects], (4,)),
        np.array([i.label for i in objects], np.int32),
        _stack(crowds, (4,)),
        masks,
        mask_boxes,
        keypoints,
    )


def _stack(rows: Sequence, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(rows, np.float32).reshape(len(rows), *shape)


def _mask(annotated: AnnotatedImage, instance: Instance, cells: int):
    if instance.segmentation is None:
        raise UserError(
            f"{annotated.path}: annotation {instance.id} has no segmentation "
            "to train masks on."
        )
    size = annotated.height, annotated.width
    mask = coco_api.decode_mask(instance.segmentation, size)
    return crop_mask(mask, instance.box, cells)


def crop_mask(
    mask: np.ndarray, box: Sequence[float], cells: int
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """Crop a mask to its box and one cell around it, as a grid of cells.

    Args:
        mask: bool `(height, width)`.
        box: x1, y1, x2, y2; it grows to the mask where that is larger, as
            cells outside of the crop are unknown.
        cells: side of the grid, at least 3.

    Returns:
        float32 `(cells, cells)`, and the box that they cover: one cell a
        pixel, or more pixels a cell where the box has more than `cells - 2`.
        Cells outside of the image are as its border.
    """
    height, width = mask.shape
    x1, y1, x2, y2 = _union(mask, box)
    (top, bottom), rows = _cell_weights(y1, y2, height, cells)
    (left, right), columns = _cell_weights(x1, x2, width, cells)
    crop = rows @ mask.astype(np.float32) @ columns.T
    return crop, (left, top, right, bottom)


def _union(mask: np.ndarray, box: Sequence[float]):
    """Return the smallest box that contains a box and a mask."""
    if not mask.any():
        return box
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return (
        min(box[0], columns[0]),
        min(box[1], rows[0]),
        max(box[2], columns[-1] + 1),
        max(box[3], rows[-1] + 1),
    )


def _cell_weights(start: float, stop: float, pixels: int, cells: int):
    """Compute the cells along an axis.

    Returns:
        Start of the first cell and end of the last, and the share of each
        pixel in each cell, `(cells, pixels)`.
    """
    first, last = np.floor(start), np.ceil(stop)
    cell_px = max(1.0, (last - first) / (cells - 2))
    edges = first + cell_px * np.arange(-1, cells)
    # The first and the last pixel extend beyond the image.
    starts, stops = np.arange(pixels) * 1.0, np.arange(pixels) + 1.0
    starts[0] = min(starts[0], edges[0])
    stops[-1] = max(stops[-1], edges[-1])
    overlap = np.minimum(edges[1:, None], stops) - np.maximum(
        edges[:-1, None], starts
    )
    weights = np.maximum(overlap, 0) / cell_px
    return (edges[0], edges[-1]), weights.astype(np.float32)
