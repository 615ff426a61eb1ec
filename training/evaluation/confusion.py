"""A picture of which classes are taken for which."""

import io
import math

import numpy as np

from nonlocal_tf import pictures
from training import files
from training.evaluation import metrics
from training.evaluation.video_scores import VideoScores
from training.remote import Path

# From dark blue over grey to yellow: ever lighter, and blue against yellow is
# what colour-blind people tell apart.
COLOURS = np.array(
    [
        (10, 16, 54),
        (44, 72, 116),
        (122, 124, 126),
        (196, 176, 92),
        (255, 238, 96),
    ]
)
TICKS = (0.0, 0.01, 0.1, 0.25, 0.5, 1.0)
LABELS_UP_TO = 60  # classes; of more, names would be too small to read
NUMBERS_UP_TO = 20
SIDE_PX = 720
CELL_PX = (2, 48)
LABEL_CELL_PX = 14  # for a line of text
FONT_PX = 11
NAME_PX = 180  # of a name, at the most
BAR_PX = 14
MARGIN_PX = 16
GAP_PX = 8  # between names and squares


def write(path: Path, scored: VideoScores) -> str:
    """Draws the confusion of classes into a PNG.

    Returns:
        Where it is, or why there is none, as a line for the screen.
    """
    if scored.multi_label:
        return "No confusion.png: with several labels a video there is none."
    try:
        picture = draw(shares(scored), [str(c) for c in scored.classes])
    except ImportError as error:
        return f"No confusion.png: {error}"
    content = io.BytesIO()
    picture.save(content, format="PNG")
    files.write_bytes(path, content.getvalue())
    return f"Picture written to {path}"


def shares(scored: VideoScores) -> np.ndarray:
    """How much of each class (rows) is taken for which (columns).

    Of what could be read; rows sum to 1, or to 0 without a video.
    """
    scores = metrics.pooled(scored.scores[scored.ok], scored.pool)
    counts = metrics.confusion(
        metrics.best(scores), scored.labels[scored.ok], len(scored.classes)
    )
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def colours(shares: np.ndarray) -> np.ndarray:
    """Shares from 0 to 1 as uint8 RGB, `(..., 3)`.

    Their square roots are even steps of colour, so that rare confusions show.
    """
    knots = np.linspace(0, 1, len(COLOURS)) ** 2
    channels = [np.interp(shares, knots, of) for of in COLOURS.T]
    return (np.stack(channels, axis=-1) + 0.5).astype(np.uint8)


def draw(shares: np.ndarray, names: list[str]):
    """Draws shares of classes as squares, in the order of the classes.

    Args:
        shares: from `shares`, `(classes, classes)`.
        names: of the classes; not drawn if there are more than 60.

    Returns:
        A `PIL.Image.Image`.

    Raises:
        ImportError: Pillow is not installed (extra `viz`).
    """
    Image, ImageDraw = pictures.pillow()
    count = len(names)
    named = count <= LABELS_UP_TO
    cell = int(np.clip(SIDE_PX // count, *CELL_PX))
    texts = [pictures.shortened(n, NAME_PX, FONT_PX) for n in names * named]
    if named:
        cell = max(cell, LABEL_CELL_PX)
    room = math.ceil(max(map(_width, texts), default=0))
    left = top = MARGIN_PX + pictures.CAPTION_PX + room + GAP_PX
    side = count * cell
    width = left + side + 4 * MARGIN_PX + BAR_PX + math.ceil(_width("100 %"))
    picture = Image.new(
        "RGB", (width, top + side + MARGIN_PX), pictures.BACKGROUND
    )
    squares = np.kron(colours(shares), np.ones((cell, cell, 1), np.uint8))
    picture.paste(Image.fromarray(squares), (left, top))
    pen = ImageDraw.Draw(picture)
    _write(pen, (left, MARGIN_PX), f"taken for ({count} classes)", "la")
    _upwards(picture, (MARGIN_PX, top), side, "class")
    for number, text in enumerate(texts):
        middle = number * cell + cell // 2
        at = left - GAP_PX, top + middle
        _write(pen, at, text, "rm")
        place = left + middle - pictures.CAPTION_PX // 2, top - room - GAP_PX
        _upwards(picture, place, room, text)
    if count <= NUMBERS_UP_TO:
        _numbers(pen, shares, (left, top), cell)
    _bar(picture, pen, (left + side + 2 * MARGIN_PX, top), side)
    return picture


def _width(text: str) -> float:
    return pictures.text_width(text, FONT_PX)


def _write(pen, at, text: str, anchor: str, ink=pictures.TEXT) -> None:
    pictures.write(pen, at, text, FONT_PX, ink, anchor)


def _upwards(picture, place, length, text) -> None:
    """Writes text from bottom to top, above place + length."""
    Image, ImageDraw = pictures.pillow()
    tile = Image.new(
        "RGB", (max(length, 1), pictures.CAPTION_PX), pictures.BACKGROUND
    )
    _write(ImageDraw.Draw(tile), (0, pictures.CAPTION_PX // 2), text, "lm")
    picture.paste(tile.rotate(90, expand=True), place)


def _numbers(pen, shares, corner, cell) -> None:
    """Writes per cent into the squares that are not empty."""
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.005:
            middle = (
                corner[0] + column * cell + cell // 2,
                corner[1] + row * cell + cell // 2,
            )
            ink = pictures.BACKGROUND if share > 0.2 else pictures.TEXT
            _write(pen, middle, f"{100 * share:.0f}", "mm", ink)


def _bar(picture, pen, corner, height) -> None:
    """The scale of colours, from 0 % at the bottom."""
    Image, _ = pictures.pillow()
    column = colours(np.linspace(1, 0, height) ** 2)[:, None]
    pixels = np.repeat(column, BAR_PX, axis=1)
    picture.paste(Image.fromarray(pixels), corner)
    written = math.inf
    for share in TICKS:
        place = corner[1] + int((1 - share**0.5) * height)
        if written - place < FONT_PX:
            continue  # it would be over the one below
        at = corner[0] + BAR_PX + 4, place
        _write(pen, at, f"{100 * share:.0f} %", "lm")
        written = place
