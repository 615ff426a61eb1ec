"""Outlines of shapes of one area, and distances to them."""

import functools
import math

import numpy as np

# Tables reach from -REACH to REACH, in radii of a disc of the same area.
REACH, TABLE_SIZE = 2.5, 192


def _turns(corners: int, first: float = 0.0) -> np.ndarray:
    """Return corners of a regular polygon, `(corners, 2)`."""
    angles = 2 * np.pi * (np.arange(corners) / corners + first)
    return np.stack([np.cos(angles), np.sin(angles)], 1)


def _star(points: int, inner: float) -> np.ndarray:
    radii = np.where(np.arange(2 * points) % 2, inner, 1.0)
    return radii[:, None] * _turns(2 * points)


def _cross(arm: float) -> np.ndarray:
    corner = np.array([[1, arm], [arm, arm], [arm, 1]])
    quarters = [
        corner @ np.array([[c, s], [-s, c]])
        for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))
    ]
    return np.concatenate(quarters)


def _crescent(radius: float, offset: float) -> np.ndarray:
    """Cut a disc of a radius, to the right, out of a disc of radius 1."""
    x = (1 - radius**2 + offset**2) / (2 * offset)  # where they meet
    y = math.sqrt(1 - x**2)
    share = np.linspace(-1, 1, 32)
    outer = np.pi + share * (np.pi - math.atan2(y, x))
    inner = np.pi - share * (np.pi - math.atan2(y, x - offset))
    cut = radius * np.stack([np.cos(inner), np.sin(inner)], 1) + [offset, 0]
    return np.concatenate(
        [np.stack([np.cos(outer), np.sin(outer)], 1), cut[1:-1]]
    )


# Outline of each shape.
SHAPES: dict[str, np.ndarray] = {
    "disc": _turns(48),
    "triangle": _turns(3),
    "square": _turns(4, 0.125),
    "pentagon": _turns(5),
    "ellipse": _turns(48) * [1, 0.5],
    "bar": _turns(4, 0.125) * [1, 0.3],
    "star": _star(5, 0.42),
    "four-pointed star": _star(4, 0.35),
    "cross": _cross(0.33),
    "half disc": _turns(96)[:49],
    "crescent": _crescent(0.8, 0.5),
    "corner": np.array(
        [[0, 0], [2, 0], [2, 0.8], [0.8, 0.8], [0.8, 2], [0, 2]]
    ),
}


@functools.cache
def distance_tables() -> np.ndarray:
    """Return signed distances to each shape, negative inside.

    Shapes are about their centre of mass and have the area of a disc of radius
    1, the unit of the distances.

    Returns:
        float32 `(shapes, TABLE_SIZE, TABLE_SIZE)`, rows from top to bottom.
    """
    cell = 2 * REACH / TABLE_SIZE
    line = (np.arange(TABLE_SIZE) + 0.5) * cell - REACH
    places = np.stack(np.meshgrid(line, line), -1)
    tables = [
        _distances(_of_unit_area(shape), places) for shape in SHAPES.values()
    ]
    return np.stack(tables).astype(np.float32)


def _of_unit_area(outline: np.ndarray) -> np.ndarray:
    """Move and scale an outline to center 0 and the area of a unit disc."""
    after = np.roll(outline, -1, axis=0)
    crossed = outline[:, 0] * after[:, 1] - outline[:, 1] * after[:, 0]
    area = crossed.sum() / 2
    center = ((outline + after) * crossed[:, None]).sum(0) / (6 * area)
    return (outline - center) * math.sqrt(math.pi / abs(area))


def _distances(outline: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return signed distances of places `(..., 2)` to a polygon."""
    nearest = np.full(places.shape[:-1], np.inf)
    inside = np.zeros(places.shape[:-1], bool)
    x, y = places[..., 0], places[..., 1]
    for start, end in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        edge = end - start
        from_start = places - start
        share = np.clip(from_start @ edge / max(edge @ edge, 1e-12), 0, 1)
        gap = from_start - share[..., None] * edge
        nearest = np.minimum(nearest, np.hypot(gap[..., 0], gap[..., 1]))
        if start[1] != end[1]:
            crosses = (start[1] > y) != (end[1] > y)
            at_x = start[0] + (y - start[1]) * edge[0] / edge[1]
            inside ^= crosses & (x < at_x)
    return np.where(inside, -nearest, nearest)
