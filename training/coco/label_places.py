"""Places for the labels of boxes: inside the image, not over each other."""

from collections.abc import Iterator, Sequence

import numpy as np

NEAR_ROWS = 3  # heights of a label that it may be away from its box

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
        inside the image and free of all others; None where there is no such
        place near the box.
    """
    corners: list[tuple[int, int] | None] = []
    taken = np.zeros((0, 4), int)
    for box, (width, height) in zip(boxes, sizes, strict=True):
        corner = None
        if width <= image[0] and height <= image[1]:
            places = np.array(list(_near(box, (width, height), image)))
            lying = np.concatenate([places, places + (width, height)], axis=1)
            free = np.flatnonzero(~_overlap(lying, taken).any(axis=1))
            if len(free):
                x, y = places[free[0]]
                corner = int(x), int(y)
                taken = np.concatenate([taken, lying[free[:1]]])
        corners.append(corner)
    return corners


def _near(box: Box, size: Size, image: Size) -> Iterator[tuple[int, int]]:
    """Corners of a label near a box, the best first, inside the image."""
    left, top, right, bottom = (round(side) for side in box)
    width, height = size
    rows = [top - height, bottom + 1, *range(top, bottom - height, height)]
    for away in range(1, NEAR_ROWS):
        rows += [top - (1 + away) * height, bottom + 1 + away * height]
    for y in rows:
        for x in (left, right - width, (left + right - width) // 2):
            yield (
                min(max(x, 0), image[0] - width),
                min(max(y, 0), image[1] - height),
            )


def _overlap(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compare rectangles `(n, 4)` with `(m, 4)`; bool `(n, m)`."""
    some, others = some[:, None], others[None]
    begins_before = some[..., :2] < others[..., 2:]
    ends_after = others[..., :2] < some[..., 2:]
    return np.all(begins_before & ends_after, axis=2)
