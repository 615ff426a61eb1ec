"""Curves over training steps, as one picture with a panel for each quantity.

Curves of a panel are told apart by colour, dashes and markers; the colours are
those of Okabe and Ito, which colour-blind people can tell apart.
"""

import dataclasses
import io
import itertools
import math
from collections.abc import Iterator, Sequence

from nonlocal_tf import pictures
from training.errors import UserError
from training.reporting import axes
from training.reporting.pen import FONT_PX, INK, PAPER, Pen

# Sizes are in pixels of a picture 800 wide, which is drawn in SCALE times as
# many for screens that have them, and each of them from SMOOTH times SMOOTH.
SCALE, SMOOTH = 2, 2
WIDTH_PX, PANEL_PX = 800, 260
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 84, 32, 44, 48
TITLE_PX = 17
LINE_PX, MARKER_PX = 2.0, 3.5
LEGEND_PX = 36  # length of the line in the legend
ROW_PX = 24  # height of a row of the legend
LABEL_GAP_PX = 8
UP_PX = 18  # middle of what is written beside an axis
PARTS_Y, PARTS_X = 5, 8
MARKERS_UP_TO = 40  # more points would run into each other
POINTS_UP_TO = 400  # more would blur dashes
GRID = (222, 222, 222)
COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167))
DASHES = ((), (9, 5), (2, 4), (14, 4, 2, 4))  # on, off, ...
CORNERS = (24, 4, 3, 5)  # of markers


@dataclasses.dataclass(frozen=True)
class Curve:
    """One line of a panel.

    Attributes:
        name: in the legend.
        values: one a step that is drawn; None where there is none.
        look: number of its colour, dashes and marker, of four.
    """

    name: str
    values: Sequence[float | None]
    look: int = 0


@dataclasses.dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        title: the quantity.
        curves: with different looks.
        may_be_log: whether values over more than two decades get a
            logarithmic axis.
        covers: values that are on the axis at any rate.
        up: what is counted upwards, where the title does not say it.
    """

    title: str
    curves: Sequence[Curve]
    may_be_log: bool = False
    covers: tuple[float, ...] = ()
    up: str = ""


def png(
    steps: Sequence[float], panels: Sequence[Panel], across: str = "step"
) -> bytes:
    """Draws the panels below each other.

    Values that are not finite interrupt a line; the panel says how many. Of
    very many values the means of some at a time are drawn.

    Args:
        steps: of all curves, rising.
        panels: at least one.
        across: what the steps are.

    Returns:
        A PNG file.

    Raises:
        ImportError: Pillow is not installed (extra `viz`).
    """
    Image, _ = pictures.pillow()
    factor = SCALE * SMOOTH
    measure = Pen(Image.new("RGB", (1, 1)), factor)
    tiles = []
    for panel in panels:
        rows = _legend_rows(measure, panel)
        height = PANEL_PX + ROW_PX * (len(rows) - 1)
        size = (WIDTH_PX * factor, height * factor)
        tile = Image.new("RGB", size, PAPER)
        _draw_panel(Pen(tile, factor), steps, panel, rows, across)
        tiles.append(tile.reduce(SMOOTH))
    total = sum(tile.height for tile in tiles)
    picture = Image.new("RGB", (WIDTH_PX * SCALE, total), PAPER)
    y = 0
    for tile in tiles:
        picture.paste(tile, (0, y))
        y += tile.height
    content = io.BytesIO()
    picture.save(content, format="PNG", optimize=True)
    return content.getvalue()


def require() -> None:
    """Raises a UserError unless Pillow is there to draw with."""
    try:
        pictures.pillow()
    except ImportError as error:
        raise UserError(str(error)) from error


def _draw_panel(
    pen: Pen,
    steps: Sequence[float],
    panel: Panel,
    rows: Sequence[Sequence[Curve]],
    across_what: str,
) -> None:
    top = TOP_PX + ROW_PX * (len(rows) - 1)
    bottom = top + PANEL_PX - TOP_PX - BOTTOM_PX
    up = _axis_up(panel, bottom, top)
    # A step alone may be at zero.
    last = max(steps) or 1
    left = _left(pen, panel, up)
    across = axes.from_zero(left, WIDTH_PX - RIGHT_PX, last, PARTS_X)
    every = -(-len(steps) // POINTS_UP_TO)
    mean = f" (each point is the mean of {every} values)" if every > 1 else ""
    _draw_axes(pen, across, up, f"{across_what}{mean}")
    if panel.up:
        pen.text_upwards(UP_PX, (top + bottom) / 2, panel.up)
    room = WIDTH_PX - LEFT_PX - RIGHT_PX
    title = pen.shortened(_title(panel), room, TITLE_PX)
    pen.text(LEFT_PX, TOP_PX / 2, title, "lm", TITLE_PX)
    few = -(-len(steps) // every) <= MARKERS_UP_TO
    _draw_legend(pen, rows, few)
    for curve in panel.curves:
        points = [
            (across.at(step), up.at(value)) if value is not None else None
            for step, value in _means(steps, curve.values, every)
        ]
        _draw_curve(pen, curve.look, points, few)
    if not up.marks:
        middle = (top + bottom) / 2
        pen.text(WIDTH_PX / 2, middle, "no value to draw", "mm")


def _axis_up(panel: Panel, bottom: float, top: float) -> axes.Axis:
    covered = [*filter(math.isfinite, _known(panel)), *panel.covers]
    return axes.around(bottom, top, covered, PARTS_Y, panel.may_be_log)


def _known(panel: Panel) -> list[float]:
    """The values that there are, also those that are not finite."""
    return [v for c in panel.curves for v in c.values if v is not None]


def _title(panel: Panel) -> str:
    """The title, and what is to be known of the axis and the values."""
    known = _known(panel)
    lost = sum(not math.isfinite(value) for value in known)
    notes = ["logarithmic"] if _axis_up(panel, 1, 0).log else []
    if lost:
        notes.append(f"{lost} of {len(known)} values not finite")
    return f"{panel.title} ({', '.join(notes)})" if notes else panel.title


def _left(pen: Pen, panel: Panel, up: axes.Axis) -> float:
    """Where the axis is, right of its labels and what is counted upwards."""
    widest = max((pen.width(label) for _, label in up.marks), default=0)
    edge = UP_PX + FONT_PX if panel.up else 4
    return max(LEFT_PX, edge + widest + LABEL_GAP_PX)


def _draw_axes(pen: Pen, across: axes.Axis, up: axes.Axis, below: str):
    for value, label in up.marks:
        y = up.at(value)
        ends = [(across.start_px, y), (across.end_px, y)]
        pen.line(ends, GRID, 1)
        pen.text(across.start_px - LABEL_GAP_PX, y, label, "rm")
    for value, label in across.marks:
        x = across.at(value)
        pen.line([(x, up.start_px), (x, up.start_px + 5)], INK, 1)
        # A long label at the right end would be cut off.
        half = pen.width(label) / 2
        x = min(x, WIDTH_PX - half - 2)
        pen.text(x, up.start_px + 16, label, "mm")
    corner = (across.start_px, up.start_px)
    top, right = (corner[0], up.end_px), (across.end_px, corner[1])
    pen.line([top, corner, right], INK, 1)
    middle = (across.start_px + across.end_px) / 2
    pen.text(middle, up.start_px + BOTTOM_PX - 13, below, "mm")


def _legend_rows(pen: Pen, panel: Panel) -> list[list[Curve]]:
    """What is in the legend: a row right of the title, and rows below it.

    Names that do not all fit beside the title are below, as many to a row as
    there is room for. A curve that is called as the panel needs no legend.
    """
    if all(curve.name == panel.title for curve in panel.curves):
        return [[]]
    room = WIDTH_PX - LEFT_PX - RIGHT_PX
    title = pen.width(_title(panel), TITLE_PX)
    widths = [_entry_width(pen, curve) for curve in panel.curves]
    if title + sum(widths) <= room:
        return [list(panel.curves)]
    rows: list[list[Curve]] = [[], []]
    left = float(room)
    for curve, width in zip(panel.curves, widths, strict=True):
        if rows[-1] and width > left:
            rows.append([])
            left = room
        rows[-1].append(curve)
        left -= width
    return rows


def _entry_width(pen: Pen, curve: Curve) -> float:
    return LEGEND_PX + 6 + pen.width(curve.name) + 18


def _draw_legend(pen: Pen, rows: Sequence[Sequence[Curve]], few: bool) -> None:
    """A row right of the title, and others below it, from the right."""
    room = WIDTH_PX - LEFT_PX - RIGHT_PX - LEGEND_PX - 6
    for number, row in enumerate(rows):
        x: float = WIDTH_PX - RIGHT_PX
        y = TOP_PX / 2 + number * ROW_PX
        for curve in reversed(row):
            name = pen.shortened(curve.name, room)
            pen.text(x, y, name, "rm")
            x -= pen.width(name) + 6
            _draw_line(pen, curve.look, [(x - LEGEND_PX, y), (x, y)])
            if few:
                _draw_marker(pen, curve.look, (x - LEGEND_PX / 2, y))
            x -= LEGEND_PX + 18


def _means(steps, values, every: int) -> Iterator[tuple]:
    """The last step and the mean of the finite values of each `every` rows."""
    for start in range(0, len(steps), every):
        finite = [
            value
            for value in values[start : start + every]
            if value is not None and math.isfinite(value)
        ]
        mean = sum(finite) / len(finite) if finite else None
        yield steps[start : start + every][-1], mean


def _draw_curve(pen: Pen, look: int, points, few: bool) -> None:
    """A line through points; None interrupts it."""
    for drawn, group in itertools.groupby(points, lambda p: p is not None):
        part = list(group)
        if not drawn:
            continue
        _draw_line(pen, look, part)
        if few or len(part) == 1:  # a point alone has no line
            for point in part:
                _draw_marker(pen, look, point)


def _draw_line(pen: Pen, look: int, points) -> None:
    dashes = DASHES[look % len(DASHES)]
    colour = COLOURS[look % len(COLOURS)]
    for dash in _dashed(points, dashes) if dashes else [points]:
        if len(dash) > 1:
            pen.line(dash, colour, LINE_PX)


def _dashed(points, dashes: Sequence[float]) -> Iterator[list]:
    """Cuts a line into pieces; `dashes` are lengths drawn and left out."""
    pattern = itertools.cycle(enumerate(dashes))
    place, left = next(pattern)
    piece = points[:1]
    for start, end in itertools.pairwise(points):
        length, done = math.dist(start, end), 0.0
        while length - done > left:
            done += left
            share = done / length
            cut = tuple(
                a + share * (b - a) for a, b in zip(start, end, strict=True)
            )
            if place % 2 == 0:
                yield [*piece, cut]
            piece = [cut]
            place, left = next(pattern)
        left -= length - done
        piece.append(end)
    if place % 2 == 0:
        yield piece


def _draw_marker(pen: Pen, look: int, point) -> None:
    corners = CORNERS[look % len(CORNERS)]
    # Those with few corners look smaller at the same radius.
    radius = MARKER_PX * (1.35 if corners < 6 else 1)
    turn = math.pi / 4 if corners == 4 else math.pi / 2
    angles = [turn + 2 * math.pi * n / corners for n in range(corners)]
    x, y = point
    pen.shape(
        [(x + radius * math.cos(a), y - radius * math.sin(a)) for a in angles],
        COLOURS[look % len(COLOURS)],
    )
