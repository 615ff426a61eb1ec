"""Placement of labels beside boxes, inside the image and without overlap."""

from collections.abc import Iterator, Sequence

import numpy as np

MAX_ROWS_AWAY = 3  # heights of a label between it and its box

Box = tuple[float, float, float, float]  # left, top, right, bottom
Size = tuple[int, int]  # width, height


def place_labels(
    boxes: Sequence[Box], sizes: Sequence[Size], image: Size
) -> list[tuple[int, int] | None]:
    """Place a label near each box; the first boxes choose first.

    A label is above its box if that is free, else below or inside it, or a few
    rows away.

    Args:
        boxes: in pixels of the image; may be partly outside.
        sizes: (width, height) of each label.
        image: (width, height).

    Returns:
        (x, y) of the upper left corner of each label, with the whole label
        inside the image and free of all other labels; None if there is no such
        place near the box.
    """
    corners: list[tuple[int, int] | None] = []
    occupied = np.zeros((0, 4), int)
    for box, (width, height) in zip(boxes, sizes, strict=True):
        corner = None
        if width <= image[0] and height <= image[1]:
            places = np.array(list(_places(box, (width, height), image)))
            labels = np.concatenate([places, places + (width, height)], axis=1)
            free = np.flatnonzero(~_overlap(labels, occupied).any(axis=1))
            if len(free):
                x, y = places[free[0]]
                corner = int(x), int(y)
                occupied = np.concatenate([occupied, labels[free[:1]]])
        corners.append(corner)
    return corners


def _places(box: Box, size: Size, image: Size) -> Iterator[tuple[int, int]]:
    """Corners of a label near a box, best first, inside the image."""
    left, top, right, bottom = (round(side) for side in box)
    width, height = size
    rows = [top - height, bottom + 1, *range(top, bottom - height, height)]
    for distance in range(1, MAX_ROWS_AWAY):
        rows += [top - (1 + distance) * height, bottom + 1 + distance * height]
    for y in rows:
        for x in (left, right - width, (left + right - width) // 2):
            yield (
                min(max(x, 0), image[0] - width),
                min(max(y, 0), image[1] - height),
            )


def _overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Compare rectangles `(n, 4)` with `(m, 4)`; bool `(n, m)`."""
    first, second = first[:, None], second[None]
    starts_before = first[..., :2] < second[..., 2:]
    stops_after = second[..., :2] < first[..., 2:]
    return np.all(starts_before & stops_after, axis=2)
