"""Masks of a class, and pasting of masks predicted in boxes into images."""

import numpy as np
from keras import ops

from nonlocal_tf.typing import Tensor

THRESHOLD = 0.5


def class_maps(maps: Tensor, labels: Tensor) -> Tensor:
    """Select the map of a class: `(rois, h, w, classes)` at `(rois,)`."""
    index = ops.reshape(ops.cast(labels, "int32"), (-1, 1, 1, 1))
    return ops.squeeze(ops.take_along_axis(maps, index, axis=-1), -1)


def expand_boxes(boxes: np.ndarray, mask_px: int) -> np.ndarray:
    """Expand boxes by one mask cell on each side, to integer pixels.

    Args:
        boxes: `(n, 4)`.
        mask_px: side of a mask without the border.

    Returns:
        int32 `(n, 4)`.
    """
    boxes = np.asarray(boxes, np.float32)
    scale = np.float32((mask_px + 2) / mask_px)
    center = (boxes[:, 2:] + boxes[:, :2]) * np.float32(0.5)
    half = (boxes[:, 2:] - boxes[:, :2]) * np.float32(0.5) * scale
    expanded = np.concatenate([center - half, center + half], axis=-1)
    return expanded.astype(np.int32)  # towards zero


def paste(
    masks: np.ndarray, boxes: np.ndarray, image_size: tuple[int, int]
) -> np.ndarray:
    """Paste the masks of boxes into masks of the whole image.

    Args:
        masks: probabilities `(n, side, side)`.
        boxes: `(n, 4)`, in pixels of the image.
        image_size: height and width.

    Returns:
        float32 `(n, height, width)`; an object is where it is at least
        `THRESHOLD`.
    """
    pasted = np.zeros((len(masks), *image_size), np.float32)
    for image, mask, box in zip(
        pasted, masks, expand_boxes(boxes, masks.shape[-1]), strict=True
    ):
        _paste_mask(image, np.pad(mask, 1), box)
    return pasted


def linear_weights(cells: int, size: int) -> np.ndarray:
    """Weights of bilinear resizing along one axis, as in PyTorch.

    Args:
        cells: cells before resizing.
        size: pixels after it.

    Returns:
        float32 `(size, cells)`.
    """
    positions = (np.arange(size) + 0.5) * (cells / size) - 0.5
    positions = np.maximum(positions, 0)
    before = np.minimum(np.floor(positions).astype(int), cells - 1)
    after = np.minimum(before + 1, cells - 1)
    fraction = positions - before
    weights = np.zeros((size, cells), np.float32)
    rows = np.arange(size)
    np.add.at(weights, (rows, before), 1 - fraction)
    np.add.at(weights, (rows, after), fraction)
    return weights


def _paste_mask(image: np.ndarray, mask: np.ndarray, box: np.ndarray) -> None:
    """Write a mask, resized to its box, into an image."""
    slices, weights = [], []
    for axis, cells in ((1, image.shape[0]), (0, image.shape[1])):
        start, stop = int(box[axis]), int(box[axis + 2])
        length = max(stop - start + 1, 1)
        first, last = max(start, 0), min(stop + 1, cells)
        if first >= last:
            return
        # Weights of the pixels inside of the image alone.
        inside = slice(first - start, last - start)
        side = mask.shape[1 - axis]
        weights.append(linear_weights(side, length)[inside])
        slices.append(slice(first, last))
    rows, columns = weights
    image[slices[0], slices[1]] = rows @ mask @ columns.T
