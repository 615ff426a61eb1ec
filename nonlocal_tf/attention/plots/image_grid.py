"""Grids of captioned images, concatenated images and animated GIFs."""

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


def draw_image_grid(
    images: Sequence[np.ndarray],
    captions: Sequence[Sequence[str]],
    columns: int = 6,
) -> PILImage:
    """Draw images of one size in rows, with lines of text below each.

    Args:
        images: uint8 RGB, each `(height, width, 3)`.
        captions: lines of text of each image; cut to the image's width.
        columns: images per row.

    Returns:
        A `PIL.Image.Image`; save it with its `save`.

    Raises:
        ImportError: Pillow is not installed (extra `viz`).
    """
    Image, ImageDraw = pillow()
    height, width = images[0].shape[:2]
    lines = max(len(caption) for caption in captions)
    step = height + lines * CAPTION_PX + GAP_PX
    rows = -(-len(images) // columns)
    size = (columns * (width + GAP_PX) + GAP_PX, rows * step + GAP_PX)
    grid = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(grid)
    for index, (image, caption) in enumerate(
        zip(images, captions, strict=True)
    ):
        x = index % columns * (width + GAP_PX) + GAP_PX
        y = index // columns * step + GAP_PX
        grid.paste(Image.fromarray(image), (x, y))
        for line, text in enumerate(caption):
            baseline = y + height + line * CAPTION_PX
            baseline += (CAPTION_PX - text_height(FONT_PX)) // 2
            fitting = shortened(text, width, FONT_PX)
            write(draw, (x, baseline), fitting, FONT_PX, TEXT)
    return grid


def concatenate_images(images: Sequence[PILImage], axis: str) -> PILImage:
    """Concatenate images vertically ("y") or horizontally ("x").

    Args:
        images: `PIL.Image.Image` of any sizes, at least one.
        axis: "x" or "y".
    """
    Image, _ = pillow()
    widths = [image.width for image in images]
    heights = [image.height for image in images]
    is_horizontal = axis == "x"
    size = (
        sum(widths) if is_horizontal else max(widths),
        max(heights) if is_horizontal else sum(heights),
    )
    canvas = Image.new("RGB", size, BACKGROUND)
    x = y = 0
    for image in images:
        canvas.paste(image, (x, y))
        x, y = (x + image.width, 0) if is_horizontal else (0, y + image.height)
    return canvas


def encode_gif(images: Iterable[PILImage], milliseconds: int) -> bytes:
    """Encode images as an endlessly repeated GIF.

    Args:
        images: `PIL.Image.Image`, all of one size.
        milliseconds: duration of each image.
    """
    Image, _ = pillow()
    content = io.BytesIO()
    # A dithered palette per image: without dithering the color bar has steps,
    # and with the default method a few warm pixels turn gray.
    first, *rest = (
        image.quantize(
            palette=image.quantize(method=Image.Quantize.MAXCOVERAGE),
            dither=Image.Dither.FLOYDSTEINBERG,
        )
        for image in images
    )
    first.save(
        content,
        format="GIF",
        save_all=True,
        append_images=rest,
        duration=milliseconds,
        loop=0,
    )
    return content.getvalue()
