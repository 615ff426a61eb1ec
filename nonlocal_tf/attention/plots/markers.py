"""Boxes around cells and arrows between them."""

from collections.abc import Sequence

import numpy as np

from nonlocal_tf.attention.attention_map import Cell, Look
from nonlocal_tf.attention.plots.frame_layout import Tiles
from nonlocal_tf.attention.plots.image_grid import pillow
from nonlocal_tf.typing import PILImage

SMOOTH = 2  # drawn so many times as large
ARROW, QUERY, EDGE = (255, 150, 20), (255, 255, 255), (0, 0, 0)
THIN_PX, THICK_PX = 2.0, 5.0
QUERY_PX = 4
LEAST_PX, LEAST_QUERY_PX = 8, 20  # sides of boxes


class Marks:
    """Boxes and arrows on glass, to be laid over a picture.

    Args:
        tiles: of the picture.
        look: on the tiles.
    """

    def __init__(self, tiles: Tiles, look: Look):
        Image, ImageDraw = pillow()
        self._tiles, self._look = tiles, look
        size = tuple(SMOOTH * side for side in tiles.size)
        self._glass = Image.new("RGBA", size, (*EDGE, 0))
        self._draw = ImageDraw.Draw(self._glass)

    def over(self, picture: PILImage) -> PILImage:
        """The picture with the marks."""
        # Premultiplied, or the transparent black would darken the edges.
        glass = self._glass.convert("RGBa").reduce(SMOOTH).convert("RGBA")
        picture = picture.convert("RGBA")
        picture.alpha_composite(glass)
        return picture.convert("RGB")

    def arrow(self, start: int, end: int, target: Cell) -> None:
        """From the query to a target, as thick and as clear as it is strong.

        Args:
            start: frame in which the query is drawn.
            end: frame in which the target is drawn.
            target: the cell.
        """
        share = self._look.weights[target] / self._look.weights.max()
        ink = (*ARROW, round(255 * (0.5 + 0.5 * share)))
        edge = (*EDGE, ink[3])
        width = THIN_PX + (THICK_PX - THIN_PX) * share
        box = self._tiles.box(end, self._look, target, LEAST_PX)
        self._outline(box, ink, THIN_PX)
        tail, tip = (
            np.array(self._tiles.centre(number, self._look, cell))
            for number, cell in ((start, self._look.query), (end, target))
        )
        length = float(np.hypot(*(tip - tail)))
        if length == 0:
            return
        along = (tip - tail) / length
        aside = 0.45 * np.array([-along[1], along[0]])
        head = min(8 + 2 * width, length)
        back = tip - head * along
        for colour, wide in ((edge, width + 2), (ink, width)):
            line = self._large(*tail, *back)
            self._draw.line(line, fill=colour, width=round(SMOOTH * wide))
        corners = (tip, back + head * aside, back - head * aside)
        points = [tuple(self._large(*corner)) for corner in corners]
        self._draw.polygon(points, fill=ink, outline=edge)

    def query(self, number: int, whole: bool = True) -> None:
        """The outline of the cell that looks, or only its corners.

        Args:
            number: of the frame.
            whole: whether it is the frame from which the cell looks.
        """
        look = self._look
        box = self._tiles.box(number, look, look.query, LEAST_QUERY_PX)
        left, top, right, bottom = box
        grown = (left - 1, top - 1, right + 1, bottom + 1)
        if whole:
            self._outline(grown, (*EDGE, 255), QUERY_PX + 2)
            self._outline(box, (*QUERY, 255), QUERY_PX)
            return
        reach_x, reach_y = (right - left) / 4, (bottom - top) / 4
        for x, along in ((left, reach_x), (right, -reach_x)):
            for y, down in ((top, reach_y), (bottom, -reach_y)):
                corner = self._large(x + along, y, x, y, x, y + down)
                for ink, wide in ((EDGE, 5), (QUERY, 3)):
                    self._draw.line(corner, (*ink, 255), SMOOTH * wide)

    def _outline(
        self, box: Sequence[float], ink: tuple[int, ...], width: float
    ) -> None:
        left, top, right, bottom = self._large(*box)
        inner = (left, top, max(right - 1, left), max(bottom - 1, top))
        self._draw.rectangle(inner, outline=ink, width=round(SMOOTH * width))

    def _large(self, *numbers: float) -> list[float]:
        return [SMOOTH * number for number in numbers]
