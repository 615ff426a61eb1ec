import io
import math

import numpy as np
import pytest

from tests.pictures import lettering
from training.reporting import curves
from training.reporting.curves import Curve, Panel

Image = pytest.importorskip("PIL.Image")


def pixels(steps, panels):
    with Image.open(io.BytesIO(curves.png(steps, panels))) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture).astype(int)


def drawn(picture, look=0):
    """Where the plot has the colour of a look; the legend is above it."""
    plot = picture.copy()
    plot[: curves.TOP_PX * curves.SCALE - 8] = 255
    return (abs(plot - curves.COLOURS[look]).sum(-1) < 30).nonzero()


def column(step, last):
    """Pixel column of a step."""
    left, right = curves.LEFT_PX, curves.WIDTH_PX - curves.RIGHT_PX
    return curves.SCALE * (left + step / last * (right - left))


def test_each_panel_has_its_part_of_the_picture():
    panel = Panel("loss", [Curve("training", [3, 2])])
    picture = pixels([5, 10], [panel, panel, panel])
    assert picture.shape == (
        3 * curves.PANEL_PX * curves.SCALE,
        curves.WIDTH_PX * curves.SCALE,
        3,
    )
    parts = picture.reshape(3, -1, *picture.shape[1:])
    assert (parts[0] == parts[1]).all() and (parts[0] == parts[2]).all()


def test_a_line_goes_through_its_values():
    picture = pixels([1, 2, 3, 4], [Panel("a", [Curve("a", [0, 8, 2, 10])])])
    ys, xs = drawn(picture)
    top = curves.TOP_PX * curves.SCALE
    height = (curves.PANEL_PX - curves.BOTTOM_PX) * curves.SCALE - top
    for step, value in ((1, 0), (2, 8), (2.5, 5), (3, 2), (4, 10)):
        near = abs(xs - column(step, 4)) <= 1
        middle = (ys[near].min() + ys[near].max()) / 2
        expected = top + height * (1 - value / 10)
        # Half of a marker, which the axis may cover.
        assert abs(middle - expected) <= 2 * curves.MARKER_PX * curves.SCALE


def test_curves_have_their_own_colours_and_a_legend():
    both = [Curve("training", [3, 2]), Curve("validation", [4, 3], look=1)]
    picture = pixels([5, 10], [Panel("loss", both)])
    assert len(drawn(picture, 0)[0]) and len(drawn(picture, 1)[0])
    head = picture[: curves.TOP_PX * curves.SCALE - 8]
    for look in (0, 1):
        assert (abs(head - curves.COLOURS[look]).sum(-1) < 30).any()


@pytest.mark.parametrize("lost", [math.nan, math.inf, -math.inf, None])
def test_a_value_that_cannot_be_drawn_interrupts_the_line(lost):
    values = [1, 2, 3, lost, 1, 2]
    xs = drawn(pixels(range(1, 7), [Panel("a", [Curve("a", values)])]))[1]
    for step in (1.5, 2.5, 5.5):
        assert (abs(xs - column(step, 6)) < 3).any()
    assert not (abs(xs - column(4, 6)) < column(0.8, 6) - column(0, 6)).any()


def test_dashes_have_their_lengths_also_around_corners():
    points = [(0.0, 0.0), (30.0, 40.0), (30.0, 140.0), (200.0, 140.0)]
    pieces = list(curves._dashed(points, (9, 5)))
    lengths = [
        sum(math.dist(*ends) for ends in zip(piece, piece[1:], strict=False))
        for piece in pieces
    ]
    assert lengths[:-1] == pytest.approx([9] * (len(lengths) - 1))
    total = 50 + 100 + 170
    assert len(pieces) == math.ceil(total / 14)
    assert sum(len(piece) > 2 for piece in pieces) <= 2  # the two corners


def test_very_many_values_are_drawn_as_means():
    steps = range(7, 7 * 10_001, 7)
    noise = [step % 2 for step in steps]  # 0, 1, 0, 1, ...
    picture = pixels(steps, [Panel("a", [Curve("a", [*noise[:-1], 1.0])])])
    ys, _ = drawn(picture)
    top = curves.TOP_PX * curves.SCALE
    height = (curves.PANEL_PX - curves.BOTTOM_PX) * curves.SCALE - top
    middle = top + height / 2
    # 25 values at a time: their mean is 12/25 or 13/25.
    assert abs(ys - middle).max() <= height / 50 + 2 * curves.SCALE
    assert len(list(curves._means(steps, noise, 25))) == 400


@pytest.mark.parametrize(
    "values", [[4.5], [0.0], [math.nan], [None], [1e-30], [1e30]]
)
def test_one_epoch_is_a_marker(values):
    picture = pixels([10], [Panel("a", [Curve("a", values)], True)])
    ok = values[0] is not None and math.isfinite(values[0])
    assert bool(len(drawn(picture)[0])) == ok


def test_without_pillow_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(ImportError, match="pip install pillow"):
        curves.png([1], [Panel("a", [Curve("a", [1])])])


def test_a_legend_without_room_gets_rows_of_its_own():
    names = ["a name that takes a good part of the row", "another of these"]
    one = [Curve(name, [3, 2], look) for look, name in enumerate(names)]
    few, many = (
        pixels([5, 10], [Panel("the title of this panel", part)])
        for part in (one[:1], one * 2)
    )
    assert few.shape[0] == curves.PANEL_PX * curves.SCALE
    extra = many.shape[0] - few.shape[0]
    assert extra == 2 * curves.ROW_PX * curves.SCALE
    # What is below the axis is the same; markers reach over it.
    bottom = slice((8 - curves.BOTTOM_PX) * curves.SCALE, None)
    np.testing.assert_array_equal(few[bottom], many[bottom])


def test_a_title_and_a_name_without_end_are_shortened():
    panel = Panel("title " * 90, [Curve("name " * 90, [3, 2])])
    picture = pixels([5, 10], [panel])
    margin = picture[:, -curves.SCALE * 20 :]
    assert (margin[: curves.TOP_PX] == 255).all()


def test_an_axis_covers_what_it_is_told_to():
    panel = Panel("a", [Curve("a", [0.5, 0.5])], covers=(0.0, 1.0))
    ys, _ = drawn(pixels([1, 2], [panel]))
    top, height = curves.TOP_PX, curves.PANEL_PX - curves.BOTTOM_PX
    middle = curves.SCALE * (top + height) / 2
    assert abs((ys.min() + ys.max()) / 2 - middle) <= 2


def test_names_and_titles_keep_their_accents():
    accents, ascii_only = (
        pixels([1, 2], [Panel("a", [Curve(name, [0, 1])], up=name)])
        for name in ("sch\u00f6n", "schon")
    )
    assert (accents != ascii_only).any()


@pytest.mark.parametrize("scale", [1e-9, 1, -1.2345e6, 1e8, 1.23e30])
def test_no_text_is_cut_or_over_another(scale, monkeypatch):
    values = [0.31 * scale, math.nan, scale]
    title = "a title that is just as wide as leaves room, nearly"
    drawn = [
        Panel(title, [Curve(f"klass\u00e9 {n} " * long, values, n)], up="score")
        for n, long in enumerate((1, 2, 4, 30))
    ]
    with lettering.recorded(monkeypatch) as texts:
        curves.png([1, 250_000, 9_500_000], drawn)
    lettering.check(texts)
