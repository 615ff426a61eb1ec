"""Pictures of where a cell looks: on a clip's frames in rows, or as a film.

Like the paper's figure 3: arrows lead from the cell that looks to those that it
takes most from. Or a heat map lies over each frame.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from nonlocal_tf.attention.attention_map import Cell, Look
from nonlocal_tf.attention.plots import heat_map
from nonlocal_tf.attention.plots.fonts import (
    pillow,
    shortened,
    text_width,
    write,
)
from nonlocal_tf.attention.plots.frame_layout import (
    FONT_PX,
    GAP_PX,
    LINE_PX,
    Tiles,
)
from nonlocal_tf.attention.plots.image_grid import BACKGROUND, TEXT
from nonlocal_tf.attention.plots.markers import (
    ARROW,
    QUERY,
    THICK_PX,
    THIN_PX,
    Marks,
)
from nonlocal_tf.choices import unknown
from nonlocal_tf.typing import PILDraw, PILImage

STYLES = ("arrows", "heat")
WIDTH_PX = 1800
BAR_PX = (150, 20)
GREY = 110  # of the frame below the legend's colours


def strip(
    frames: np.ndarray,
    look: Look,
    arrows: int = 20,
    style: str = "arrows",
    names: Sequence[str] | None = None,
    width_px: int = WIDTH_PX,
) -> PILImage:
    """Draws a clip's frames in rows, and where a cell of it looks.

    The cell that looks is outlined in white. Below each frame is the sum of
    the weights at its time, below all of them what the colours mean.

    Args:
        frames: uint8 RGB, `(time, height, width, 3)`.
        look: on the pixels of these frames.
        arrows: for `style="arrows"`, lead to so many of the strongest cells at
            the most; cells with less than a twentieth of the strongest get
            none.
        style: "arrows" or "heat".
        names: of the frames; long ones are shortened. Default: their numbers.
        width_px: of the picture, at the most; the legend needs 420.

    Returns:
        A `PIL.Image.Image`; it has `save`.

    Raises:
        ImportError: Pillow is not installed (extra `viz`).
        ValueError: there is no such style, or an array of another kind.
    """
    _check(style, frames, look)
    names = names or [f"frame {n}" for n in range(len(frames))]
    tiles = Tiles.rows(frames.shape, names, width_px)
    return _picture(tiles, frames, look, arrows, style, names)


def film(
    frames: np.ndarray,
    look: Look,
    arrows: int = 20,
    style: str = "heat",
    names: Sequence[str] | None = None,
) -> Iterator[PILImage]:
    """The same as pictures that follow each other, a frame on each.

    The cell that looks is outlined in white in its own frame, and by corners
    in the others. Arrows are those to the frame that is shown.

    Args:
        frames: as of `strip`.
        look: as of `strip`.
        arrows: as of `strip`, in all frames together.
        style: "arrows" or "heat".
        names: as of `strip`.

    Yields:
        `PIL.Image.Image`, all of one size.

    Raises:
        ImportError: Pillow is not installed (extra `viz`).
        ValueError: there is no such style, or an array of another kind.
    """
    _check(style, frames, look)
    names = names or [f"frame {n}" for n in range(len(frames))]
    for number in range(len(frames)):
        tiles = Tiles.alone(frames.shape, names, number)
        yield _picture(tiles, frames, look, arrows, style, names)


def _check(style: str, frames: np.ndarray, look: Look) -> None:
    if style not in STYLES:
        raise ValueError(unknown("style", style, STYLES))
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(
            "Expected uint8 RGB frames, (time, height, width, 3). "
            f"Received: {frames.dtype} {frames.shape}"
        )
    if look.weights.ndim != 3:
        raise ValueError(
            "Expected weights of cells, (time, height, width). "
            f"Received: shape={look.weights.shape}"
        )


def _picture(
    tiles: Tiles,
    frames: np.ndarray,
    look: Look,
    arrows: int,
    style: str,
    names: Sequence[str],
) -> PILImage:
    """The frames that the tiles show, with marks and text."""
    Image, ImageDraw = pillow()
    look = tiles.scaled(look)
    picture = Image.new("RGB", tiles.size, BACKGROUND)
    for number in tiles.numbers:
        tile = _painted(frames[number], number, look, tiles, style)
        picture.paste(Image.fromarray(tile), tiles.corner(number))
    targets = look.clearest(arrows) if style == "arrows" else []
    picture = _marked(picture, tiles, len(frames), look, targets)
    draw = ImageDraw.Draw(picture)
    _captions(draw, tiles, look, names)
    _legend(picture, draw, tiles, look, style, targets)
    return picture


def _painted(
    frame: np.ndarray, number: int, look: Look, tiles: Tiles, style: str
) -> np.ndarray:
    """A frame as a tile, uint8 `(height, width, 3)`, with its heat."""
    Image, _ = pillow()
    ways = Image.Resampling
    way = ways.NEAREST if min(tiles.scale) >= 3 else ways.BICUBIC
    size = (tiles.width, tiles.height)
    tile = np.asarray(Image.fromarray(frame).resize(size, way))
    most = max(look.weights.max(), np.finfo("float32").tiny)
    share = look.on_frame(number, tiles.height, tiles.width) / most
    if style == "heat":
        return heat_map.heated(tile, share)
    return heat_map.glowing(tile, share, ARROW)


def _marked(
    picture: PILImage,
    tiles: Tiles,
    frames: int,
    look: Look,
    targets: Sequence[Cell],
) -> PILImage:
    """The picture with the query's outline and arrows to the targets."""

    def frame_of(cell: Cell) -> int:
        return min(look.middle(cell)[0], frames - 1)

    marks, own = Marks(tiles, look), frame_of(look.query)
    for target in reversed(targets):  # the strongest on top
        if frame_of(target) in tiles.numbers:
            marks.arrow(own, frame_of(target), target)
    shown = own in tiles.numbers
    marks.query(own, whole=shown)
    return marks.over(picture)


def _captions(
    draw: PILDraw, tiles: Tiles, look: Look, names: Sequence[str]
) -> None:
    """Below each frame its name, and the sum of the weights at its time."""
    for number in tiles.numbers:
        x, y = tiles.corner(number)
        y += tiles.height + LINE_PX // 2 + 2
        total = float(look.weights[look.time_of(number)].sum())
        written = f"{total:.2f}" if abs(total) < 1000 else f"{total:.3g}"
        text, room = f"sum {written}", tiles.width
        if text_width(text, FONT_PX) > tiles.width:
            text = shortened(written, tiles.width, FONT_PX)
        if tiles.lines == 1:
            room -= round(text_width(text, FONT_PX)) + 2 * GAP_PX
        name = shortened(names[number], room, FONT_PX)
        _write(draw, (x, y), name, "lm")
        if tiles.lines == 1:
            _write(draw, (x + tiles.width - GAP_PX, y), text, "rm")
        else:
            _write(draw, (x, y + LINE_PX), text, "lm")


def _legend(
    picture: PILImage,
    draw: PILDraw,
    tiles: Tiles,
    look: Look,
    style: str,
    targets: Sequence[Cell],
) -> None:
    """What the marks and colours mean, in the last line or lines."""
    x: float
    x, y = tiles.legend
    draw.rectangle((x, y - 10, x + 20, y + 10), outline=QUERY, width=3)
    count = f" the {len(targets)} strongest" if len(targets) > 1 else ""
    end = _write(draw, (x + 30, y), f"looks at{count}", "lm")
    x, y = (end + 2 * LINE_PX, y) if tiles.one_line else (x, y + LINE_PX)
    if style == "arrows" and not targets:
        return
    x = _write(draw, (x, y), "weight", "lm") + 2 * GAP_PX
    if style == "heat":
        _scale(picture, draw, (x, y), look)
    else:
        _arrows(draw, (x, y), [look.weights[t] for t in targets])


def _scale(
    picture: PILImage, draw: PILDraw, at: tuple[float, float], look: Look
) -> None:
    """The colours from nothing to the largest weight."""
    Image, _ = pillow()
    x, y = at
    x = _write(draw, (x, y), "0", "lm") + GAP_PX
    share = np.broadcast_to(np.linspace(0, 1, BAR_PX[0]), BAR_PX[::-1])
    grey = np.full((*BAR_PX[::-1], 3), GREY, "uint8")
    bar = Image.fromarray(heat_map.heated(grey, share))
    picture.paste(bar, (round(x), round(y - BAR_PX[1] / 2)))
    x += BAR_PX[0] + GAP_PX
    _write(draw, (x, y), f"{max(look.weights.max(), 0):.2g}", "lm")


def _arrows(
    draw: PILDraw, at: tuple[float, float], weights: Sequence[float]
) -> None:
    """The thickest and the thinnest arrow, and their weights."""
    x, y = at
    ends = [(weights[0], THICK_PX), (weights[-1], THIN_PX)]
    for weight, width in ends[: len(weights)]:
        draw.line((x, y, x + 40, y), fill=ARROW, width=round(width))
        x = _write(draw, (x + 48, y), f"{weight:.2g}", "lm") + 2 * GAP_PX


def _write(
    draw: PILDraw, at: tuple[float, float], text: str, anchor: str
) -> float:
    """Writes; returns where the text ends."""
    return write(draw, at, text, FONT_PX, TEXT, anchor)
