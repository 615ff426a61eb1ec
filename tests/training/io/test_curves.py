import math

import numpy as np
import pytest

from tests.training.runs import texts
from training.io import curves, plots
from training.io.curves import Curve, Panel

pytest.importorskip("matplotlib")


def axes_of(steps, panel, **options):
    (axes,) = curves.figure(steps, [panel], **options).axes
    return axes


def test_each_panel_has_its_axes_below_each_other():
    panels = [Panel(name, [Curve(name, [3, 2])]) for name in "abc"]
    figure = curves.figure([5, 10], panels)
    figure.draw_without_rendering()
    assert [axes.get_title("left") for axes in figure.axes] == ["a", "b", "c"]
    tops = [axes.get_position().y1 for axes in figure.axes]
    assert tops == sorted(tops, reverse=True)


def test_the_picture_is_a_png_of_its_size_and_always_the_same():
    panels = [Panel("a", [Curve("a", [3, 2])])] * 3
    content = curves.png([5, 10], panels)
    assert content == curves.png([5, 10], panels)
    assert content.startswith(b"\x89PNG")
    size = [int.from_bytes(content[offset : offset + 4]) for offset in (16, 20)]
    expected = curves.WIDTH_PX, 3 * curves.PANEL_PX
    assert size == [side * plots.SCALE for side in expected]


def test_a_line_goes_through_its_values():
    values = [0, 8, 2, 10]
    axes = axes_of([1, 2, 3, 4], Panel("a", [Curve("a", values)]))
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_xydata().T, [[1, 2, 3, 4], values])
    assert axes.get_xlim() == (0, 4) and line.get_markevery() == [0, 1, 2, 3]
    low, high = axes.get_ylim()
    assert low <= 0 and high >= 10


def test_curves_have_their_own_looks_and_a_legend():
    names = ["_training", "$validation", "täglich", "\u0411\u0435\u0433"]
    parts = [Curve(name, [3, 2], look) for look, name in enumerate(names)]
    axes = axes_of([5, 10], Panel("loss", parts))
    legend = axes.get_legend()
    assert legend.get_title().get_text() == "loss"
    assert [text.get_text() for text in legend.get_texts()] == names
    for look in ("color", "linestyle", "marker"):
        styles = [getattr(line, f"get_{look}")() for line in axes.lines]
        assert styles == [
            getattr(line, f"get_{look}")() for line in legend.get_lines()
        ]
    assert [line.get_color() for line in axes.lines] == list(curves.COLOURS)
    assert len({line.get_marker() for line in axes.lines}) == len(names)


@pytest.mark.parametrize("lost", [math.nan, math.inf, -math.inf, None])
def test_a_value_that_cannot_be_drawn_interrupts_the_line(lost):
    panel = Panel("a", [Curve("a", [1, 2, 3, lost, 1, 2])])
    axes = axes_of(range(1, 7), panel)
    expected = [1, 2, 3, math.nan, 1, 2]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), expected)
    noted = "1 of 6 values not finite" in axes.get_title("left")
    assert noted == (lost is not None)


def test_a_point_without_neighbours_has_a_marker():
    values = np.ones(201)
    values[[6, 8, 199]] = math.nan
    axes = axes_of(range(201), Panel("a", [Curve("a", values.tolist())]))
    marked = axes.lines[0].get_markevery()
    assert {7, 200} <= set(marked) and 8 not in marked
    assert len(marked) <= curves.MARKERS_UP_TO + 2


def test_very_many_values_are_drawn_as_means():
    steps = range(7, 7 * 10_001, 7)
    values = [float(step % 2) for step in steps]  # 1, 0, 1, 0, ...
    values[1] = math.nan
    values[50:75] = [None] * 25
    axes = axes_of(steps, Panel("a", [Curve("a", values)]))
    x, y = axes.lines[0].get_data()
    assert len(x) == 400 and (x[0], x[-1]) == (7 * 25, steps[-1])
    assert y[0] == 13 / 24 and math.isnan(y[2]) and y[3] == 12 / 25
    assert "mean of 25 values" in axes.get_xlabel()


@pytest.mark.parametrize(
    "values", [[4.5], [0.0], [math.nan], [None], [1e-30], [1e30]]
)
def test_one_epoch_is_a_marker(values):
    for step in (0, 10):
        axes = axes_of([step], Panel("a", [Curve("a", values)], True))
        axes.figure.draw_without_rendering()
        assert axes.lines[0].get_markevery() == [0]
        finite = values[0] is not None and math.isfinite(values[0])
        low, high = axes.get_ylim()
        assert not finite or low < values[0] < high
        assert bool(axes.texts) != finite  # it says that there is no value


@pytest.mark.parametrize(
    ("values", "may_be_log", "expected"),
    [
        ([0.02, 3], True, "log"),
        ([0.02, 3], False, "linear"),
        ([0.0, 3], True, "linear"),
        ([0.03, 2.9], True, "linear"),
    ],
)
def test_more_than_two_decades_may_be_logarithmic(values, may_be_log, expected):
    axes = axes_of([1, 2], Panel("a", [Curve("a", values)], may_be_log))
    assert axes.get_yscale() == expected
    assert ("logarithmic" in axes.get_title("left")) == (expected == "log")


def test_an_axis_covers_what_it_is_told_to():
    panel = Panel("a", [Curve("a", [0.5, 0.5])], covers=(0.0, 1.0), up="score")
    axes = axes_of([1, 2], panel, across="seconds")
    low, high = axes.get_ylim()
    assert -0.2 < low <= 0 and 1 <= high < 1.2
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("seconds", "score")


@pytest.mark.parametrize("scale", [1e-9, 1, -1.2345e6, 1e8, 1.23e30])
def test_no_text_is_cut_or_over_another(scale, monkeypatch):
    values = [0.31 * scale, math.nan, scale]
    title = "a title that is just as wide as leaves room, nearly"
    panels = [
        Panel(
            title * repeats,
            [Curve(f"klass\u00e9 {n} " * repeats, values, n)] * count,
            up="score",
        )
        for n, (repeats, count) in enumerate([(1, 4), (2, 3), (4, 1), (30, 2)])
    ]
    figure = curves.figure([1, 250_000, 9_500_000], panels)
    texts_drawn = texts.drawn(figure, monkeypatch)
    for (x0, bottom, right, top), letters in texts_drawn:
        assert x0 >= 0 and right <= figure.bbox.width, letters
        assert bottom >= 0 and top <= figure.bbox.height, letters
    texts.check_apart(texts_drawn)
