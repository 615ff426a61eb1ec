"""Where the frames of a clip and the cells of a look are on a picture."""

import dataclasses
import math
from collections.abc import Sequence

from nonlocal_tf.attention.attention_map import Cell, Look
from nonlocal_tf.attention.plots.fonts import text_width

# Pictures are shown about half as large as they are.
FONT_PX, LINE_PX, GAP_PX = 22, 32, 8
LEAST_SIDE_PX, MOST_HEIGHT_PX = 160, 600
FILM_SIDE_PX = 360
SUM = "  sum 00.00"  # what is written beside a frame's name
LEGEND_PX = 800  # more than that fits on one line
LEAST_WIDTH_PX = 420  # for the legend on two lines


@dataclasses.dataclass(frozen=True)
class Tiles:
    """Frames in rows, with lines of text below each and below all of them.

    Attributes:
        numbers: of the frames that are shown.
        height: of a frame on the picture.
        width: of a frame on the picture.
        columns: frames a row.
        scale: (down, along), picture pixels a pixel of a frame.
        lines: of text below a frame.
    """

    numbers: range
    height: int
    width: int
    columns: int
    scale: tuple[float, float]
    lines: int

    @classmethod
    def rows(
        cls, shape: tuple[int, ...], names: Sequence[str], width_px: int
    ) -> "Tiles":
        """All frames, as large as they can be.

        Args:
            shape: `(time, height, width, 3)`.
            names: of the frames.
            width_px: of the picture, at the most; the legend needs 420.
        """
        frames, height, width, _ = shape
        room = width_px - GAP_PX
        least = max(LEAST_SIDE_PX, LEAST_SIDE_PX * width / height) + GAP_PX
        rows = math.ceil(frames / max(int(room / least), 1))
        columns = math.ceil(frames / rows)
        tile_px = room / columns - GAP_PX
        scale = min(tile_px / width, MOST_HEIGHT_PX / height)
        return cls._of(range(frames), height, width, columns, scale, names)

    @classmethod
    def alone(
        cls, shape: tuple[int, ...], names: Sequence[str], number: int
    ) -> "Tiles":
        """One frame of a film; see `rows`."""
        _, height, width, _ = shape
        scale = FILM_SIDE_PX / min(height, width)
        here = range(number, number + 1)
        return cls._of(here, height, width, 1, scale, names)

    @classmethod
    def _of(
        cls,
        numbers: range,
        height: int,
        width: int,
        columns: int,
        scale: float,
        names: Sequence[str],
    ) -> "Tiles":
        if scale > 3:  # pixels that show are all of one size
            scale = math.floor(scale)
        # Rounded down: they have to fit.
        high, wide = (
            max(int(side * scale + 1e-6), 1) for side in (height, width)
        )
        widest = max(text_width(name + SUM, FONT_PX) for name in names)
        lines = 1 if widest <= wide else 2
        sides = high / height, wide / width
        return cls(numbers, high, wide, columns, sides, lines)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the picture; even, as films want it."""
        wide = self.columns * (self.width + GAP_PX) + GAP_PX
        wide = max(wide, LEAST_WIDTH_PX)
        rows = math.ceil(len(self.numbers) / self.columns)
        legend = 1 if self.one_line else 2
        high = rows * self._step + GAP_PX + legend * LINE_PX + GAP_PX
        return wide + wide % 2, high + high % 2

    @property
    def one_line(self) -> bool:
        """Whether there is room for the legend on one line."""
        return self.columns * (self.width + GAP_PX) > LEGEND_PX

    @property
    def _step(self) -> int:
        return self.height + GAP_PX + self.lines * LINE_PX

    @property
    def legend(self) -> tuple[int, int]:
        """The left end of the middle of the first line below all frames."""
        rows = math.ceil(len(self.numbers) / self.columns)
        return GAP_PX, rows * self._step + GAP_PX + LINE_PX // 2

    def corner(self, number: int) -> tuple[int, int]:
        """The left upper pixel of a frame; of any, where one is alone."""
        place = number - self.numbers[0] if len(self.numbers) > 1 else 0
        row, column = divmod(place, self.columns)
        x = GAP_PX + column * (self.width + GAP_PX)
        return x, GAP_PX + row * self._step

    def scaled(self, look: Look) -> Look:
        """A look on frames as a look on tiles."""
        return look.moved((0.0, 0.0, 0.0), (1.0, *self.scale))

    def box(
        self, number: int, look: Look, at: Cell, least_px: float
    ) -> tuple[float, ...]:
        """(left, top, right, bottom) of a cell in a frame on the picture.

        Args:
            number: of the frame.
            look: on the tiles.
            at: the cell.
            least_px: sides of the box, at the least, so that it is seen.
        """
        x, y = self.corner(number)
        top, left, bottom, right = look.box(at)
        grow_y = max(least_px - (bottom - top), 0) / 2
        grow_x = max(least_px - (right - left), 0) / 2
        return (
            x + min(max(left - grow_x, 0), self.width - 1),
            y + min(max(top - grow_y, 0), self.height - 1),
            x + max(min(right + grow_x, self.width), 1),
            y + max(min(bottom + grow_y, self.height), 1),
        )

    def centre(self, number: int, look: Look, at: Cell) -> tuple[float, float]:
        """(x, y) of the middle of a cell in a frame on the picture."""
        x, y = self.corner(number)
        _, down, along = look.centre(at)
        return (
            x + min(max(along, 0), self.width),
            y + min(max(down, 0), self.height),
        )
