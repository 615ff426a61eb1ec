"""What one cell of a block looks at, and on which pixels that lies."""

import dataclasses
import math

import numpy as np

Cell = tuple[int, int, int]
Place = tuple[float, float, float]
FAINT = 0.05  # of the strongest: less is not marked


@dataclasses.dataclass(frozen=True)
class Look:
    """What one cell of a block looks at.

    Places are (frame, y, x) on rulers on which pixel p reaches from p to p + 1.

    Attributes:
        block: name of the block's layer.
        query: (time, y, x) of the cell that looks, in cells.
        weights: `(time, height, width)`, how much it takes from each cell.
        cell: (frames, pixels, pixels) from one cell to the next.
        first: place of the middle of the first cell. Default: half a cell, as
            where cells tile the clip from its corner.
    """

    block: str
    query: Cell
    weights: np.ndarray
    cell: Place
    first: Place | None = None

    def strongest(self, count: int) -> list[Cell]:
        """The cells that are looked at most, strongest first."""
        order = np.argsort(-self.weights, axis=None, kind="stable")[:count]
        times, ys, xs = np.unravel_index(order, self.weights.shape)
        return [
            (int(t), int(y), int(x))
            for t, y, x in zip(times, ys, xs, strict=True)
        ]

    def clearest(self, count: int) -> list[Cell]:
        """The strongest cells, without those that have hardly any weight."""
        least = FAINT * max(float(self.weights.max()), 0.0)
        return [
            cell
            for cell in self.strongest(count)
            if self.weights[cell] >= least > 0
        ]

    def centre(self, at: Cell) -> Place:
        """The place of the middle of a cell."""
        first = self.first or tuple(side / 2 for side in self.cell)
        t, y, x = (
            start + i * side
            for start, i, side in zip(first, at, self.cell, strict=True)
        )
        return t, y, x

    def middle(self, at: Cell) -> Cell:
        """(frame, y, x) of the pixel in the middle of a cell."""
        frame, y, x = (max(math.floor(place), 0) for place in self.centre(at))
        return frame, y, x

    def box(self, at: Cell) -> tuple[float, float, float, float]:
        """(top, left, bottom, right) of the cell's share of its frames."""
        _, y, x = self.centre(at)
        high, wide = (side / 2 for side in self.cell[1:])
        return y - high, x - wide, y + high, x + wide

    def moved(self, offset: Place, scale: Place) -> "Look":
        """The same look on other pixels.

        Args:
            offset: place of the clip's corner, in its own pixels.
            scale: how many of the others a pixel of the clip is.

        Returns:
            A `Look` whose place p is at `(p + offset) * scale`.
        """
        places = zip(self.centre((0, 0, 0)), offset, scale, strict=True)
        t, y, x = ((place + by) * times for place, by, times in places)
        sides = zip(self.cell, scale, strict=True)
        cell_t, cell_y, cell_x = (side * times for side, times in sides)
        return dataclasses.replace(
            self, cell=(cell_t, cell_y, cell_x), first=(t, y, x)
        )

    def time_of(self, frame: int) -> int:
        """The cells, along time, whose middle is nearest to a frame's."""
        first, *_ = self.centre((0, 0, 0))
        time = math.floor((frame + 0.5 - first) / self.cell[0] + 0.5)
        return min(max(time, 0), len(self.weights) - 1)

    def on_frame(self, frame: int, height: int, width: int) -> np.ndarray:
        """The weights at each pixel of a frame, `(height, width)`.

        Linear between the middles of cells in space, and nothing a cell beyond
        the outermost; in time those of the nearest cells. Negative weights are
        zero.
        """
        values = np.clip(self.weights[self.time_of(frame)], 0, None)
        _, first_y, first_x = self.centre((0, 0, 0))
        rows = _between(height, first_y, self.cell[1], len(values))
        columns = _between(width, first_x, self.cell[2], len(values[0]))
        return rows @ values @ columns.T


def _between(pixels: int, first: float, side: float, cells: int) -> np.ndarray:
    """Shares of the two cells around each pixel, `(pixels, cells)`."""
    place = (np.arange(pixels) + 0.5 - first) / side
    is_near = (place >= -1) & (place <= cells)
    place = np.clip(place, 0, cells - 1)
    before = np.floor(place).astype(int)
    shares = np.zeros((pixels, cells))
    rows = np.arange(pixels)
    shares[rows, before] = 1 - (place - before)
    shares[rows, np.minimum(before + 1, cells - 1)] += place - before
    return shares * is_near[:, None]
