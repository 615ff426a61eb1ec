"""Masks of objects: as targets in their boxes, and pasted into images."""

import numpy as np

from nonlocal_tf.detection.resize import linear_weights

THRESHOLD = 0.5


def expanded_boxes(boxes: np.ndarray, mask_px: int) -> np.ndarray:
    """Boxes of masks with a border of one cell, in whole pixels.

    Args:
        boxes: `(n, 4)`.
        mask_px: side of a mask without the border.

    Returns:
        int32 `(n, 4)`.
    """
    boxes = np.asarray(boxes, np.float32)
    scale = np.float32((mask_px + 2) / mask_px)
    middle = (boxes[:, 2:] + boxes[:, :2]) * np.float32(0.5)
    half = (boxes[:, 2:] - boxes[:, :2]) * np.float32(0.5) * scale
    found = np.concatenate([middle - half, middle + half], axis=-1)
    return found.astype(np.int32)  # towards zero


def paste(
    masks: np.ndarray, boxes: np.ndarray, image_size: tuple[int, int]
) -> np.ndarray:
    """Masks of boxes as masks of the image.

    Args:
        masks: probabilities `(n, side, side)`.
        boxes: `(n, 4)`, in pixels of the image.
        image_size: height and width.

    Returns:
        float32 `(n, height, width)`; `THRESHOLD` and more is the object.
    """
    pasted = np.zeros((len(masks), *image_size), np.float32)
    for image, mask, box in zip(
        pasted, masks, expanded_boxes(boxes, masks.shape[-1]), strict=True
    ):
        _paste_one(image, np.pad(mask, 1), box)
    return pasted


def _paste_one(image: np.ndarray, mask: np.ndarray, box: np.ndarray) -> None:
    """Writes a mask into its place of an image."""
    kept, weights = [], []
    for axis, cells in ((1, image.shape[0]), (0, image.shape[1])):
        start, end = int(box[axis]), int(box[axis + 2])
        length = max(end - start + 1, 1)
        first, last = max(start, 0), min(end + 1, cells)
        if first >= last:
            return
        # Only of the pixels that are in the image.
        inside = slice(first - start, last - start)
        side = mask.shape[1 - axis]
        weights.append(linear_weights(side, length)[inside])
        kept.append(slice(first, last))
    rows, columns = weights
    image[kept[0], kept[1]] = rows @ mask @ columns.T
