"""Draw which network sees what, abilities x networks, for README.

    python -m training.reproduce.ability_picture

A cell has the mean accuracy of its runs as colour and in whole per cent, and a
frame where the network should see the ability. The same numbers are in the PNG
as text, by which a test compares the file with the results.
"""

import io
import pathlib
import struct
import sys
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nonlocal_tf.attention.plots import fonts
from nonlocal_tf.typing import PILDraw, PILImage

from ..data.ability_config import ABILITIES
from ..io import atomic_files, cli, plots, tables
from ..recipes import abilities
from . import ability_table, accuracy
from .ability_table import Cell, Results

EXAMPLE = "python -m training.reproduce.ability_picture"
OUT = ability_table.RESULTS.with_suffix(".png")
# Sizes are in pixels of the picture as it is shown; the file has SCALE times
# as many, for screens that show them.
SCALE = plots.SCALE
FONT_PX, MARGIN_PX, GAP_PX = 14, 12, 12
COLUMN_PX, ROW_PX, HEAD_PX = 84, 34, 28
FRAME_PX = 1.5
FILL_PX = 4  # from the edge of a cell, or of its frame, to its colour
BAR_PX = (120, 16)
# From light to dark, so that the order stays in print and for all kinds of
# colour vision: yellow and blue are the hues that most people tell apart.
COLOURS = ((255, 246, 213), (112, 172, 176), (16, 52, 110))
WHITE, BLACK, GREY = (255, 255, 255), (20, 20, 20), (217, 217, 217)
NOT_RUN = "not run"
DESCRIPTION = "Description"  # keyword of the text in the file
HEADER_BYTES = 33  # of a PNG: signature and size, which comes first


class DrawnCell(NamedTuple):
    """One network on one ability.

    Attributes:
        accuracy: mean of the runs, None where there is none.
        should_see: whether the network is expected to see the ability.
    """

    accuracy: float | None
    should_see: bool

    @property
    def text(self) -> str:
        return (
            NOT_RUN if self.accuracy is None else f"{100 * self.accuracy:.0f}"
        )


class CellLayout(NamedTuple):
    """Places of the cells, in pixels of the file.

    Attributes:
        label_px: width of the labels of rows, as shown.
        rows: number of networks.
    """

    label_px: int
    rows: int

    def size(self) -> tuple[int, int]:
        """Return width and height."""
        width = self.label_px + len(ABILITIES) * COLUMN_PX
        height = HEAD_PX + (self.rows + 1) * ROW_PX  # a row is the legend
        return SCALE * (width + 2 * MARGIN_PX), SCALE * (height + 2 * MARGIN_PX)

    def cell(self, row: int, column: int) -> tuple[int, int, int, int]:
        """Return (left, top, right, bottom) of a cell."""
        left = SCALE * (MARGIN_PX + self.label_px + column * COLUMN_PX)
        top = SCALE * (MARGIN_PX + HEAD_PX + row * ROW_PX)
        return left, top, left + SCALE * COLUMN_PX, top + SCALE * ROW_PX


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `python -m training.reproduce.ability_picture`."""
    parser = cli.parser(
        "reproduce.ability_picture",
        "Draw the table of abilities, networks x abilities, for README.",
        EXAMPLE,
    )
    for name, default, what in (
        ("--results", ability_table.RESULTS, "folder of the results"),
        ("--out", OUT, "PNG to write"),
    ):
        parser.add_argument(
            name,
            type=pathlib.Path,
            default=default,
            metavar="PATH",
            help=f"{what} (default: that of the repository)",
        )
    options, _ = cli.parse(parser, arguments)
    write(options.out, ability_table.read_results(options.results))
    print(f"Written: {options.out}")


def write(path: pathlib.Path, results: Results) -> None:
    """Write the picture.

    Args:
        path: of a PNG file.
        results: of `ability_table.read_results`.

    Raises:
        UserError: Pillow is not installed.
    """
    plots.require_pillow()
    atomic_files.write_bytes(path, png(results))


def cells(results: Results) -> dict[str, list[DrawnCell]]:
    """Return the cells of each network, by its label, in order of `ABILITIES`.

    Args:
        results: of `ability_table.read_results`.
    """
    return {
        label: [_cell(results, name, ability) for ability in ABILITIES]
        for name, (label, *_) in abilities.NETWORKS.items()
    }


def _cell(results: Results, name: str, ability: str) -> DrawnCell:
    runs = results.get(Cell(name, ability).name)
    least, _ = ability_table.expected(name, ability)
    reached = accuracy.mean(runs) if runs else None
    return DrawnCell(reached, least >= ability_table.SEEN)


def describe(results: Results) -> str:
    """Format what the picture shows as text; * marks a frame."""
    body = [
        (label, *(cell.text + "*" * cell.should_see for cell in row))
        for label, row in cells(results).items()
    ]
    return tables.render([("", *ABILITIES), *body])


def png(results: Results) -> bytes:
    """Draw the picture as a PNG file, with its numbers as text in it."""
    content = io.BytesIO()
    draw(results).save(content, format="PNG", optimize=True)
    text = describe(results).encode("utf-8")
    # An international text (iTXt): not compressed, of no language.
    chunk = b"iTXt" + DESCRIPTION.encode() + b"\0\0\0\0\0" + text
    size, check = len(chunk) - 4, zlib.crc32(chunk)
    chunk = struct.pack(">I", size) + chunk + struct.pack(">I", check)
    image = content.getvalue()
    return image[:HEADER_BYTES] + chunk + image[HEADER_BYTES:]


def colour(reached: float | None) -> tuple[int, ...]:
    """Return the RGB colour of an accuracy: chance and below is lightest."""
    if reached is None:
        return GREY
    places = np.linspace(ability_table.CHANCE, 1, len(COLOURS))
    levels = np.transpose(COLOURS)
    return tuple(round(np.interp(reached, places, level)) for level in levels)


def layout() -> CellLayout:
    """Return the layout of the networks of the recipes."""
    labels = [label for label, *_ in abilities.NETWORKS.values()]
    widest = max(fonts.text_width(label, FONT_PX) for label in labels)
    return CellLayout(round(widest) + GAP_PX, len(labels))


def draw(results: Results) -> PILImage:
    """Draw the picture, as a `PIL.Image.Image`."""
    Image, ImageDraw = fonts.pillow()
    place = layout()
    image = Image.new("RGB", place.size(), WHITE)
    canvas = ImageDraw.Draw(image)
    for column, ability in enumerate(ABILITIES):
        left, _, right, _ = place.cell(0, column)
        middle = SCALE * (MARGIN_PX + HEAD_PX / 2)
        _write(canvas, ((left + right) / 2, middle), ability, "mm")
    for row, (label, row_cells) in enumerate(cells(results).items()):
        _, top, _, bottom = place.cell(row, 0)
        _write(canvas, (SCALE * MARGIN_PX, (top + bottom) / 2), label, "lm")
        for column, cell in enumerate(row_cells):
            _draw_cell(canvas, place.cell(row, column), cell)
    _draw_legend(canvas, place)
    return image


def ink(fill: Sequence[int]) -> tuple[int, int, int]:
    """Return black or white, the one that is easier to read on a colour."""
    linear = (np.asarray(fill) / 255) ** 2.2
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    return WHITE if luminance < 0.18 else BLACK  # where contrasts are equal


def _draw_cell(
    canvas: PILDraw, box: tuple[int, int, int, int], cell: DrawnCell
) -> None:
    """Draw the colour, the number and the frame of a cell."""
    left, top, right, bottom = box
    inset, fill = SCALE * FILL_PX, colour(cell.accuracy)
    inner = left + inset, top + inset, right - inset - 1, bottom - inset - 1
    canvas.rectangle(inner, fill=fill)
    if cell.should_see:
        _frame(canvas, box)
    middle = (left + right) / 2, (top + bottom) / 2
    _write(canvas, middle, cell.text, "mm", ink(fill))


def _frame(canvas: PILDraw, box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    outer = left + SCALE, top + SCALE, right - SCALE - 1, bottom - SCALE - 1
    canvas.rectangle(outer, outline=BLACK, width=round(SCALE * FRAME_PX))


def _draw_legend(canvas: PILDraw, place: CellLayout) -> None:
    """Explain colours and frames below the table."""
    left, top, _, bottom = place.cell(place.rows, 0)
    middle = (top + bottom) // 2
    width, height = (SCALE * px for px in BAR_PX)
    gap, top = SCALE * GAP_PX, middle - height // 2
    x = _write(canvas, (left, middle), "50 %, chance", "lm") + gap / 2
    for step in range(width):
        share = np.interp(step, (0, width - 1), (ability_table.CHANCE, 1))
        line = x + step, top, x + step, top + height
        canvas.line(line, fill=colour(float(share)))
    x += width + gap / 2
    x = _write(canvas, (x, middle), "100 % of test clips", "lm") + 2 * gap
    box = round(x), top, round(x) + 2 * height, top + height
    _frame(canvas, box)
    _write(canvas, (box[2] + gap / 2, middle), "should see it", "lm")


def _write(
    canvas: PILDraw,
    position: tuple[float, float],
    text: str,
    anchor: str,
    fill: tuple[int, int, int] = BLACK,
) -> float:
    size = SCALE * FONT_PX
    return fonts.write(canvas, position, text, size, fill, anchor)


if __name__ == "__main__":
    sys.exit(cli.run(main))
