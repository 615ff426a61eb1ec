"""Attention map of one query cell, and its position on the pixels of a clip."""

import dataclasses
import math

import numpy as np

Cell = tuple[int, int, int]
Position = tuple[float, float, float]
SALIENT_SHARE = 0.05  # of the largest weight: smaller ones are not drawn


@dataclasses.dataclass(frozen=True)
class AttentionMap:
    """Attention weights of one query cell over all cells of a feature map.

    Positions are (frame, y, x) in pixels; pixel p covers p to p + 1. An image
    is a clip of one frame: its time is 0, and `weights[0]` its map.

    Attributes:
        block: layer name of the non-local block.
        query: (time, y, x) index of the query cell.
        weights: attention weights of the cells, `(time, height, width)`.
        stride: (frames, pixels, pixels) from one cell to the next.
        first_center: position of the center of cell (0, 0, 0). Default: half
            a stride, for cells that tile the clip from its corner.
    """

    block: str
    query: Cell
    weights: np.ndarray
    stride: Position
    first_center: Position | None = None

    def strongest_cells(self, count: int) -> list[Cell]:
        """Return the cells with the largest weights, largest first."""
        order = np.argsort(-self.weights, axis=None, kind="stable")[:count]
        times, ys, xs = np.unravel_index(order, self.weights.shape)
        return [
            (int(t), int(y), int(x))
            for t, y, x in zip(times, ys, xs, strict=True)
        ]

    def salient_cells(self, count: int) -> list[Cell]:
        """Return the strongest cells with at least 5 % of the top weight."""
        threshold = SALIENT_SHARE * max(float(self.weights.max()), 0.0)
        return [
            cell
            for cell in self.strongest_cells(count)
            if self.weights[cell] >= threshold > 0
        ]

    def center(self, cell: Cell) -> Position:
        """Return the position of the center of a cell."""
        first = self.first_center or tuple(side / 2 for side in self.stride)
        t, y, x = (
            start + i * side
            for start, i, side in zip(first, cell, self.stride, strict=True)
        )
        return t, y, x

    def center_pixel(self, cell: Cell) -> Cell:
        """Return (frame, y, x) of the pixel at the center of a cell."""
        frame, y, x = (max(math.floor(p), 0) for p in self.center(cell))
        return frame, y, x

    def box(self, cell: Cell) -> tuple[float, float, float, float]:
        """Return (top, left, bottom, right) of a cell, one stride wide."""
        _, y, x = self.center(cell)
        half_height, half_width = (side / 2 for side in self.stride[1:])
        return (
            y - half_height,
            x - half_width,
            y + half_height,
            x + half_width,
        )

    def transform(self, offset: Position, scale: Position) -> "AttentionMap":
        """Map positions p to `(p + offset) * scale`.

        Args:
            offset: (frames, y, x), position of the clip's corner in the
                target, in pixels of the clip.
            scale: target pixels per pixel of the clip.

        Returns:
            The same weights, positioned on the pixels of the target.
        """
        pairs = zip(self.center((0, 0, 0)), offset, scale, strict=True)
        t, y, x = ((position + by) * times for position, by, times in pairs)
        sides = zip(self.stride, scale, strict=True)
        stride_t, stride_y, stride_x = (side * times for side, times in sides)
        return dataclasses.replace(
            self, stride=(stride_t, stride_y, stride_x), first_center=(t, y, x)
        )

    def nearest_time(self, frame: int) -> int:
        """Return the time index of the cells nearest to a frame."""
        first, *_ = self.center((0, 0, 0))
        time = math.floor((frame + 0.5 - first) / self.stride[0] + 0.5)
        return min(max(time, 0), len(self.weights) - 1)

    def frame_weights(self, frame: int, height: int, width: int) -> np.ndarray:
        """Resize the weights to the pixels of one frame, `(height, width)`.

        Bilinear in space, zero from one stride beyond the outermost centers;
        nearest cell in time. Negative weights become zero.
        """
        values = np.clip(self.weights[self.nearest_time(frame)], 0, None)
        _, first_y, first_x = self.center((0, 0, 0))
        rows = _bilinear(height, first_y, self.stride[1], len(values))
        columns = _bilinear(width, first_x, self.stride[2], len(values[0]))
        return rows @ values @ columns.T


def _bilinear(
    pixels: int, first_center: float, stride: float, cells: int
) -> np.ndarray:
    """Return the interpolation matrix of one axis, `(pixels, cells)`."""
    index = (np.arange(pixels) + 0.5 - first_center) / stride
    is_inside = (index >= -1) & (index <= cells)
    index = np.clip(index, 0, cells - 1)
    lower = np.floor(index).astype(int)
    matrix = np.zeros((pixels, cells))
    rows = np.arange(pixels)
    matrix[rows, lower] = 1 - (index - lower)
    matrix[rows, np.minimum(lower + 1, cells - 1)] += index - lower
    return matrix * is_inside[:, None]
