"""Outlines of query cells and arrows to attended cells."""

from collections.abc import Sequence

import numpy as np

from nonlocal_tf.attention.attention_map import AttentionMap, Cell
from nonlocal_tf.attention.plots.fonts import pillow
from nonlocal_tf.attention.plots.frame_layout import FrameLayout
from nonlocal_tf.typing import PILImage

SUPERSAMPLING = 2  # drawn larger and reduced, for smooth edges
ARROW, QUERY, EDGE = (255, 150, 20), (255, 255, 255), (0, 0, 0)
THIN_PX, THICK_PX = 2.0, 5.0
QUERY_PX = 4
MIN_BOX_PX, MIN_QUERY_PX = 8, 20  # sides of outlines


class Markers:
    """Transparent layer of outlines and arrows over an image.

    Args:
        layout: of the image.
        attention: scaled by `layout.to_image_scale`.
    """

    def __init__(self, layout: FrameLayout, attention: AttentionMap):
        Image, ImageDraw = pillow()
        self._layout, self._attention = layout, attention
        size = tuple(SUPERSAMPLING * side for side in layout.image_size)
        self._overlay = Image.new("RGBA", size, (*EDGE, 0))
        self._draw = ImageDraw.Draw(self._overlay)

    def composite(self, image: PILImage) -> PILImage:
        """Return the image with the markers on it."""
        # Premultiplied alpha, else transparent black darkens the edges.
        overlay = self._overlay.convert("RGBa").reduce(SUPERSAMPLING)
        image = image.convert("RGBA")
        image.alpha_composite(overlay.convert("RGBA"))
        return image.convert("RGB")

    def draw_arrow(
        self, query_frame: int, target_frame: int, target: Cell
    ) -> None:
        """Draw an arrow from the query to a cell; width and opacity by weight.

        Args:
            query_frame: frame in which the query is drawn.
            target_frame: frame in which the target is drawn.
            target: the attended cell.
        """
        weights = self._attention.weights
        share = weights[target] / weights.max()
        fill = (*ARROW, round(255 * (0.5 + 0.5 * share)))
        edge = (*EDGE, fill[3])
        width = THIN_PX + (THICK_PX - THIN_PX) * share
        box = self._layout.box(
            target_frame, self._attention, target, MIN_BOX_PX
        )
        self._outline(box, fill, THIN_PX)
        tail, tip = (
            np.array(self._layout.center(frame, self._attention, cell))
            for frame, cell in (
                (query_frame, self._attention.query),
                (target_frame, target),
            )
        )
        length = float(np.hypot(*(tip - tail)))
        if length == 0:
            return
        direction = (tip - tail) / length
        normal = 0.45 * np.array([-direction[1], direction[0]])
        head = min(8 + 2 * width, length)
        neck = tip - head * direction
        for color, line_px in ((edge, width + 2), (fill, width)):
            line = self._supersampled(*tail, *neck)
            line_width = round(SUPERSAMPLING * line_px)
            self._draw.line(line, fill=color, width=line_width)
        corners = (tip, neck + head * normal, neck - head * normal)
        points = [tuple(self._supersampled(*corner)) for corner in corners]
        self._draw.polygon(points, fill=fill, outline=edge)

    def draw_query(self, frame: int, full: bool = True) -> None:
        """Outline the query cell, or mark only its corners.

        Args:
            frame: number of the frame in which to draw.
            full: whether it is the frame of the query.
        """
        attention = self._attention
        box = self._layout.box(frame, attention, attention.query, MIN_QUERY_PX)
        left, top, right, bottom = box
        outer = (left - 1, top - 1, right + 1, bottom + 1)
        if full:
            self._outline(outer, (*EDGE, 255), QUERY_PX + 2)
            self._outline(box, (*QUERY, 255), QUERY_PX)
            return
        reach_x, reach_y = (right - left) / 4, (bottom - top) / 4
        for x, dx in ((left, reach_x), (right, -reach_x)):
            for y, dy in ((top, reach_y), (bottom, -reach_y)):
                corner = self._supersampled(x + dx, y, x, y, x, y + dy)
                for color, line_px in ((EDGE, 5), (QUERY, 3)):
                    width = SUPERSAMPLING * line_px
                    self._draw.line(corner, (*color, 255), width)

    def _outline(
        self, box: Sequence[float], color: tuple[int, ...], width: float
    ) -> None:
        left, top, right, bottom = self._supersampled(*box)
        corners = (left, top, max(right - 1, left), max(bottom - 1, top))
        line_width = round(SUPERSAMPLING * width)
        self._draw.rectangle(corners, outline=color, width=line_width)

    def _supersampled(self, *positions: float) -> list[float]:
        return [SUPERSAMPLING * position for position in positions]
