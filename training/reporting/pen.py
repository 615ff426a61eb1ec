"""What diagrams are drawn with, in pixels of the size they are shown at."""

from nonlocal_tf import pictures

FONT_PX = 14
PAPER, INK = (255, 255, 255), (40, 40, 40)


class Pen:
    """Draws lines, shapes and text on a picture of Pillow's.

    Args:
        picture: what is drawn on.
        factor: of its pixels, to one of those that it is asked for.
    """

    def __init__(self, picture, factor: int):
        self._picture = picture
        self._draw = pictures.pillow()[1].Draw(picture)
        self._factor = factor

    def line(self, points, colour, width: float) -> None:
        scaled = [(x * self._factor, y * self._factor) for x, y in points]
        thick = round(width * self._factor)
        self._draw.line(scaled, fill=colour, width=thick, joint="curve")

    def shape(self, points, colour) -> None:
        scaled = [(x * self._factor, y * self._factor) for x, y in points]
        self._draw.polygon(scaled, fill=colour)

    def text(self, x, y, text: str, anchor: str, size: int = FONT_PX) -> None:
        """Writes; anchors are l, m or r, and m for the middle of the height."""
        at = (x * self._factor, y * self._factor)
        pictures.write(self._draw, at, text, size * self._factor, INK, anchor)

    def text_upwards(self, x, y, text: str) -> None:
        """Writes from below upwards, with the middle of the text at (x, y)."""
        Image, _ = pictures.pillow()
        wide, high = round(self.width(text)) + 2, FONT_PX + 6
        size = (wide * self._factor, high * self._factor)
        label = Image.new("RGB", size, PAPER)
        Pen(label, self._factor).text(wide / 2, high / 2, text, "mm")
        corner = (x - high / 2) * self._factor, (y - wide / 2) * self._factor
        upright = label.rotate(90, expand=True)
        self._picture.paste(upright, tuple(round(side) for side in corner))

    def width(self, text: str, size: int = FONT_PX) -> float:
        return pictures.text_width(text, size * self._factor) / self._factor

    def shortened(self, text: str, room: float, size: int = FONT_PX) -> str:
        """Cuts a text to a width, with an ellipsis."""
        scaled = size * self._factor
        return pictures.shortened(text, room * self._factor, scaled)
