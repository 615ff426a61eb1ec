"""Text on images: fonts, widths, and letters that a font lacks.

Text is set in DejaVu Sans, which matplotlib brings (extra `viz`): Latin letters
with all accents, Greek, Cyrillic, Hebrew, Arabic and many signs. A text with
other letters, such as Chinese, is set in the first font of the system that has
all of them. Where there is none, these letters are written as code points,
such as U+56FE. Without matplotlib there is Pillow's own font, which has ASCII
alone: accents are left off, other letters are code points.
"""

import functools
import pathlib
import unicodedata
from collections.abc import Collection
from types import ModuleType
from typing import Any

from nonlocal_tf.typing import PILDraw

DEJAVU = "fonts/ttf/DejaVuSans.ttf"
ELLIPSIS = "…"


def pillow() -> tuple[ModuleType, ModuleType]:
    """Import Pillow's modules for images and for drawing.

    Returns:
        `(PIL.Image, PIL.ImageDraw)`.

    Raises:
        ImportError: Pillow is not installed (extra `viz`).
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise ImportError(
            "Images need Pillow and matplotlib's font (extra viz). Install "
            "them with: pip install pillow matplotlib"
        ) from error
    return Image, ImageDraw


def write(
    draw: PILDraw,
    position: tuple[float, float],
    text: str,
    size_px: int,
    fill: tuple[int, ...],
    anchor: str = "la",
) -> float:
    """Draw a line of text.

    Args:
        draw: a `PIL.ImageDraw.ImageDraw`.
        position: (x, y) of the anchor.
        text: in any script.
        size_px: of the font.
        fill: color.
        anchor: as of Pillow: l, m or r, and a for ascender or m for middle.

    Returns:
        The x at which the text ends, for anchors at its left.
    """
    font, letters = _set(text, size_px)
    draw.text(position, letters, fill=fill, anchor=anchor, font=font)
    return position[0] + font.getlength(letters)


def text_width(text: str, size_px: int) -> float:
    """Measure a line of text as `write` draws it, in pixels."""
    font, letters = _set(text, size_px)
    return font.getlength(letters)


def text_height(size_px: int) -> int:
    """Return the height of a line from ascender to descender, in pixels."""
    return sum(load_font(dejavu(), size_px).getmetrics())


def shortened(text: str, room_px: float, size_px: int) -> str:
    """Cut a text to a width and end it with an ellipsis, if it is wider.

    Args:
        text: in any script.
        room_px: available width.
        size_px: of the font.

    Returns:
        The text, a beginning of it with an ellipsis, or "" where not even the
        ellipsis fits.
    """
    if text_width(text, size_px) <= room_px:
        return text
    fits, too_long = -1, len(text)  # letters before the ellipsis
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        cut = text[:middle].rstrip() + ELLIPSIS
        if text_width(cut, size_px) <= room_px:
            fits = middle
        else:
            too_long = middle
    return text[:fits].rstrip() + ELLIPSIS if fits >= 0 else ""


@functools.lru_cache(maxsize=1024)
def typeset(text: str) -> tuple[str | None, str]:
    """Choose a font for a text; letters that it lacks become code points.

    Args:
        text: in any script.

    Returns:
        Path of the font, None for Pillow's own, and the letters to set in it.
    """
    text = unicodedata.normalize("NFC", text)
    text = "".join(" " if c.isspace() else c for c in text)
    path = dejavu()
    if path is None:
        return None, plain(text)
    points = frozenset(map(ord, text))
    if not points <= code_points(path):
        path = _system_font(points) or path
    return path, _escaped(text, code_points(path))


def plain(text: str) -> str:
    """Spell a text in ASCII, the letters of Pillow's own font.

    Accents are left off; other letters are written as code points.
    """
    letters = unicodedata.normalize("NFKD", text)
    kept = (c for c in letters if not unicodedata.combining(c))
    return _escaped("".join(kept), range(0x20, 0x7F))


@functools.cache
def dejavu() -> str | None:
    """Find DejaVu Sans in matplotlib; None where that is not installed."""
    try:
        import matplotlib
    except ImportError:
        return None
    path = pathlib.Path(matplotlib.get_data_path(), DEJAVU)
    return str(path) if path.is_file() else None


@functools.cache
def system_fonts() -> tuple[str, ...]:
    """List the font files of the system, sorted by path."""
    from matplotlib import font_manager

    return tuple(sorted(font_manager.findSystemFonts()))


def _set(text: str, size_px: int) -> tuple[Any, str]:
    path, letters = typeset(text)
    return load_font(path, size_px), letters


def _escaped(text: str, code_points: Collection[int]) -> str:
    return "".join(
        c if ord(c) in code_points else f"U+{ord(c):04X}" for c in text
    )


@functools.lru_cache(maxsize=64)
def load_font(path: str | None, size_px: int) -> Any:
    """Load a font file; None for Pillow's own font."""
    pillow()
    from PIL import ImageFont

    if path is None:
        return ImageFont.load_default(size_px)
    return ImageFont.truetype(path, size_px)


@functools.cache
def code_points(path: str) -> frozenset[int]:
    """Read which letters a font file has; none if it cannot be used."""
    from matplotlib import ft2font

    try:
        load_font(path, 12)  # fonts of bitmaps have fixed sizes
        return frozenset(ft2font.FT2Font(path).get_charmap())
    except (OSError, RuntimeError, ValueError):
        return frozenset()


@functools.lru_cache(maxsize=256)
def _system_font(points: frozenset[int]) -> str | None:
    """Find a font of the system that has all letters of a text."""
    return next((p for p in system_fonts() if points <= code_points(p)), None)
