"""What pictures share: colours, and pictures of pictures."""

import io
from collections.abc import Iterable, Sequence

import numpy as np

from nonlocal_tf.attention.plots.fonts import (
    pillow,
    shortened,
    text_height,
    write,
)
from nonlocal_tf.typing import PILImage

GAP_PX = 6
FONT_PX = 12
CAPTION_PX = 22
BACKGROUND = (18, 18, 24)
TEXT = (225, 225, 230)


def sheet(
    pictures: Sequence[np.ndarray],
    captions: Sequence[Sequence[str]],
    columns: int = 6,
) -> PILImage:
    """Draws pictures of one size in rows, with lines of text below each.

    Args:
        pictures: uint8 RGB, each `(height, width, 3)`.
        captions: the lines of each; what is too wide is shortened.
        columns: pictures a row.

    Returns:
        A `PIL.Image.Image`; it has `save`.

    Raises:
        ImportError: Pillow is not installed (extra `viz`).
    """
    Image, ImageDraw = pillow()
    height, width = pictures[0].shape[:2]
    lines = max(len(caption) for caption in captions)
    step = height + lines * CAPTION_PX + GAP_PX
    rows = -(-len(pictures) // columns)
    size = (columns * (width + GAP_PX) + GAP_PX, rows * step + GAP_PX)
    picture = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(picture)
    for place, (tile, caption) in enumerate(
        zip(pictures, captions, strict=True)
    ):
        x = place % columns * (width + GAP_PX) + GAP_PX
        y = place // columns * step + GAP_PX
        picture.paste(Image.fromarray(tile), (x, y))
        for number, text in enumerate(caption):
            below = y + height + number * CAPTION_PX
            below += (CAPTION_PX - text_height(FONT_PX)) // 2
            fitting = shortened(text, width, FONT_PX)
            write(draw, (x, below), fitting, FONT_PX, TEXT)
    return picture


def joined(pictures: Sequence[PILImage], axis: str) -> PILImage:
    """Puts pictures below each other ("y") or beside each other ("x").

    Args:
        pictures: of `PIL.Image`, at least one.
        axis: "x" or "y".
    """
    Image, _ = pillow()
    widths = [picture.width for picture in pictures]
    heights = [picture.height for picture in pictures]
    across = axis == "x"
    size = (
        sum(widths) if across else max(widths),
        max(heights) if across else sum(heights),
    )
    whole = Image.new("RGB", size, BACKGROUND)
    x = y = 0
    for picture in pictures:
        whole.paste(picture, (x, y))
        x, y = (x + picture.width, 0) if across else (0, y + picture.height)
    return whole


def gif(pictures: Iterable[PILImage], milliseconds: int) -> bytes:
    """A GIF that plays pictures over and over.

    Args:
        pictures: of `PIL.Image`, of one size.
        milliseconds: for which each is shown.
    """
    Image, _ = pillow()
    content = io.BytesIO()
    # Each with colours of its own: mixed, or a scale of colours would have
    # steps, and from all there are, or the few warm pixels turn grey.
    first, *others = (
        picture.quantize(
            palette=picture.quantize(method=Image.Quantize.MAXCOVERAGE),
            dither=Image.Dither.FLOYDSTEINBERG,
        )
        for picture in pictures
    )
    first.save(
        content,
        format="GIF",
        save_all=True,
        append_images=others,
        duration=milliseconds,
        loop=0,
    )
    return content.getvalue()
