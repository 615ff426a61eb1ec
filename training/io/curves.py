"""Curves over training steps, as one picture with a panel for each quantity."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from nonlocal_tf.attention.plots import fonts

from . import plots
from .plots import FONT_PX, TITLE_PX

WIDTH_PX, PANEL_PX = 800, 260
ROOM_PX = 660  # for titles and legends, right of the labels of the y axis
LEGEND_LINE_PX = 36
NAME_GAP_PX, COLUMN_GAP_PX = 11, 28  # of the legend
ROW_PX = 22  # height of a row of the legend
MARKERS_UP_TO = 40  # of a curve; more would run into each other
POINTS_UP_TO = 400  # more would blur dashes
NUMBER = "{x:,.7g}"  # beside an axis
LOG_FROM = 100  # largest by smallest value
# Okabe and Ito's blue, vermillion, green and purple: people with any kind of
# colour blindness tell them apart. Dashes and markers do so without colours.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
DASHES = ("-", (0, (4.5, 2.5)), (0, (1, 2)), (0, (7, 2, 1, 2)))
MARKERS = ("o", "s", "^", "D")


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
        up: label of the y axis, where the title does not say it.
    """

    title: str
    curves: Sequence[Curve]
    may_be_log: bool = False
    covers: tuple[float, ...] = ()
    up: str = ""


def png(
    steps: Sequence[float], panels: Sequence[Panel], across: str = "step"
) -> bytes:
    """Draw the panels below each other.

    Values that are not finite interrupt a line; the panel says how many. Of
    very many values the means of some at a time are drawn.

    Args:
        steps: of all curves, rising.
        panels: at least one.
        across: what the steps are.

    Returns:
        A PNG file.

    Raises:
        UserError: matplotlib is not installed (extra `viz`).
    """
    return plots.png(figure(steps, panels, across))


@plots.style()
def figure(
    steps: Sequence[float], panels: Sequence[Panel], across: str = "step"
):
    """Draw what `png` renders, as a `matplotlib.figure.Figure`."""
    heights = [PANEL_PX + _legend_px(panel) for panel in panels]
    drawn = plots.figure(WIDTH_PX, sum(heights), layout="constrained")
    all_axes = drawn.subplots(len(panels), squeeze=False, height_ratios=heights)
    for axes, panel in zip(all_axes[:, 0], panels, strict=True):
        _draw_panel(axes, np.asarray(steps, float), panel, across)
    return drawn


def _draw_panel(axes, steps: np.ndarray, panel: Panel, across: str) -> None:
    per_point = -(-len(steps) // POINTS_UP_TO)
    last_of_each = np.arange(
        per_point - 1, len(steps) + per_point - 1, per_point
    )
    x = steps[last_of_each.clip(max=len(steps) - 1)]
    lines = [_draw_curve(axes, x, curve, per_point) for curve in panel.curves]
    _scale(axes, panel)
    axes.set_xlim(0, steps[-1] or 1)  # a step alone may be at zero
    axes.xaxis.set_major_formatter(NUMBER)
    mean = (
        f" (each point is the mean of {per_point} values)"
        if per_point > 1
        else ""
    )
    axes.set_xlabel(across + mean)
    if panel.up:
        plots.set_text(axes.set_ylabel("label"), panel.up)
    axes.grid(axis="y")
    axes.spines[["top", "right"]].set_visible(False)
    _draw_title(axes, panel, lines)


def _draw_curve(axes, x: np.ndarray, curve: Curve, per_point: int):
    """A line that values which are not finite interrupt."""
    y = _means(np.array(curve.values, float), per_point)
    gap = np.pad(~np.isfinite(y), 1, constant_values=True)
    marked = gap[:-2] & gap[2:]  # a point alone has no line
    marked[:: -(-len(x) // MARKERS_UP_TO)] = True
    look = curve.look % len(COLOURS)
    (line,) = axes.plot(
        x,
        y,
        color=COLOURS[look],
        linestyle=DASHES[look],
        linewidth=2,
        marker=MARKERS[look],
        markersize=6,
        markevery=marked.nonzero()[0].tolist(),
        clip_on=False,  # a marker at an edge is whole
    )
    return line


def _means(values: np.ndarray, per_point: int) -> np.ndarray:
    """Means of the finite values at each point, NaN where there is none."""
    rows = np.full((-(-len(values) // per_point), per_point), np.nan)
    rows.flat[: len(values)] = values
    finite = np.isfinite(rows)
    counts = finite.sum(axis=1)
    sums = np.where(finite, rows, 0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _scale(axes, panel: Panel) -> None:
    """Scale the y axis to the values and what it covers."""
    if _is_log(panel):
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter("")
    axes.yaxis.set_major_formatter(NUMBER)
    axes.update_datalim([(0, value) for value in panel.covers], updatex=False)
    if not _finite(panel):
        axes.set_yticks([])
        middle = {"ha": "center", "va": "center", "transform": axes.transAxes}
        axes.text(0.5, 0.5, "no value to draw", **middle)


def _values(panel: Panel) -> list[float]:
    """All values, also those that are not finite."""
    return [v for c in panel.curves for v in c.values if v is not None]


def _finite(panel: Panel) -> list[float]:
    return [value for value in _values(panel) if math.isfinite(value)]


def _is_log(panel: Panel) -> bool:
    finite = _finite(panel)
    return (
        panel.may_be_log
        and bool(finite)
        and min(finite) > 0
        and max(finite) > LOG_FROM * min(finite)
    )


def _title(panel: Panel) -> str:
    """The title, with notes on the axis and on values that are not drawn."""
    values = _values(panel)
    lost = len(values) - len(_finite(panel))
    notes = ["logarithmic"] if _is_log(panel) else []
    if lost:
        notes.append(f"{lost} of {len(values)} values not finite")
    return f"{panel.title} ({', '.join(notes)})" if notes else panel.title


def _has_legend(panel: Panel) -> bool:
    """A curve that is called as the panel needs no legend."""
    return any(curve.name != panel.title for curve in panel.curves)


def _legend_columns(panel: Panel) -> int:
    """Number of names that fit beside each other."""
    names = [fonts.text_width(c.name, FONT_PX) for c in panel.curves]
    widest = LEGEND_LINE_PX + NAME_GAP_PX + max(names) + COLUMN_GAP_PX
    return int(np.clip((ROOM_PX + COLUMN_GAP_PX) // widest, 1, len(names)))


def _legend_px(panel: Panel) -> int:
    """Height of the rows of the legend."""
    if not _has_legend(panel):
        return 0
    return ROW_PX * -(-len(panel.curves) // _legend_columns(panel))


def _draw_title(axes, panel: Panel, lines) -> None:
    """The title above the axes, with the legend below it.

    The title is that of the legend, so that matplotlib puts both in place.
    """
    title = fonts.shortened(_title(panel), ROOM_PX, TITLE_PX)
    if not _has_legend(panel):
        plots.set_text(axes.set_title("title"), title)
        return
    legend = axes.legend(
        lines,
        ["name"] * len(lines),  # names that begin with _ would be left out
        title="title",
        alignment="left",
        loc="lower left",
        bbox_to_anchor=(0, 1.02),
        borderaxespad=0,
        borderpad=0,
        ncols=_legend_columns(panel),
        handlelength=LEGEND_LINE_PX / FONT_PX,
        handletextpad=NAME_GAP_PX / FONT_PX,
        columnspacing=COLUMN_GAP_PX / FONT_PX,
    )
    room = ROOM_PX - LEGEND_LINE_PX - NAME_GAP_PX
    names = [fonts.shortened(c.name, room, FONT_PX) for c in panel.curves]
    artists = [legend.get_title(), *legend.get_texts()]
    for artist, text in zip(artists, [title, *names], strict=True):
        plots.set_text(artist, text)
