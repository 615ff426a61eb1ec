import numpy as np
import pytest

from nonlocal_tf.attention.attention_map import Look
from nonlocal_tf.attention.plots import attention_plot, heat_map, markers
from nonlocal_tf.attention.plots.frame_layout import Tiles
from tests.attention.plots import rendered_text

pytest.importorskip("PIL")

SHAPE = (3, 8, 12, 3)
NAMES = ["frame 0", "frame 1", "frame 2"]


def look_of(weights, query=(0, 0, 0)):
    """3 times 4 x 6 cells of 2 x 2 pixels."""
    return Look("block", query, weights, (1.0, 2.0, 2.0))


def weights_at(**cells):
    weights = np.zeros((3, 4, 6))
    for value in cells.values():
        *cell, weight = value
        weights[tuple(cell)] = weight
    return weights


def black(weights, query=(0, 0, 0), **options):
    frames = np.zeros(SHAPE, "uint8")
    picture = attention_plot.strip(frames, look_of(weights, query), **options)
    return np.asarray(picture).astype(int)


def tile_of(picture, number, width_px=1800):
    """The pixels of one frame on a strip."""
    tiles = Tiles.rows(SHAPE, NAMES, width_px)
    x, y = tiles.corner(number)
    return picture[y : y + tiles.height, x : x + tiles.width]


def test_what_is_looked_at_glows():
    picture = black(weights_at(a=(2, 1, 3, 1.0)), arrows=0)
    lit = tile_of(picture, 2).max(-1) > 0
    rows, columns = np.nonzero(lit)
    high, wide = (s / n for s, n in zip(lit.shape, (8, 12), strict=True))
    # Around the middle at (3, 7), up to the next cells' middles.
    assert (rows.mean() + 0.5) / high == pytest.approx(3, abs=0.05)
    assert (columns.mean() + 0.5) / wide == pytest.approx(7, abs=0.05)
    assert np.ptp(rows) < 4 * high and np.ptp(columns) < 4 * wide
    assert tile_of(picture, 1).max() == 0


def test_the_query_is_outlined_in_white():
    picture = tile_of(black(np.zeros((3, 4, 6)), (1, 2, 0), arrows=0), 1)
    rows, columns = np.nonzero((picture == 255).all(-1))
    zoom = picture.shape[0] / 8
    assert rows.min() == pytest.approx(4 * zoom, abs=1)
    assert rows.max() == pytest.approx(6 * zoom - 1, abs=1)
    assert (columns.min(), columns.max()) == pytest.approx((0, 2 * zoom), abs=1)


def test_an_arrow_leads_from_the_query_to_the_strongest_cell():
    weights = weights_at(a=(2, 2, 0, 1.0))
    without = black(weights, (0, 2, 0), arrows=0)
    with_one = black(weights, (0, 2, 0), arrows=1)
    drawn = (tile_of(with_one, 1) != tile_of(without, 1)).any(-1)
    rows, columns = np.nonzero(drawn)  # the frame that it only crosses
    middle = 5 * drawn.shape[0] / 8
    assert middle - 6 < rows.min() <= rows.max() < middle + 6
    assert len(set(columns)) == drawn.shape[1]


def test_stronger_arrows_are_thicker():
    weights = weights_at(a=(2, 0, 0, 0.75), b=(2, 3, 0, 0.25))
    picture = tile_of(black(weights, (0, 2, 0), arrows=2), 1)
    column = picture[:, picture.shape[1] // 2, 0] > 60
    middle = len(column) * 5 // 8
    assert column[:middle].sum() > column[middle:].sum() > 0


def test_faint_cells_get_no_arrow():
    weights = weights_at(a=(2, 2, 0, 0.97), b=(2, 0, 3, 0.03))
    one = tile_of(black(weights, (0, 2, 0), arrows=1), 2)
    np.testing.assert_array_equal(
        one, tile_of(black(weights, (0, 2, 0), arrows=9), 2)
    )


@pytest.mark.parametrize("style", attention_plot.STYLES)
def test_negative_weights_show_nothing(style):
    none = black(np.zeros((3, 4, 6)), style=style)
    np.testing.assert_array_equal(
        tile_of(none, 1), tile_of(black(-np.ones((3, 4, 6)), style=style), 1)
    )


def test_heat_is_lighter_and_yellower_the_more_weight_there_is():
    ramp = heat_map.heated(np.zeros((1, 50, 3), "uint8"), np.linspace(0, 1, 50))
    ramp = ramp[0].astype(float)
    light = ramp @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > 0).all()
    # Blue and yellow are what all colour-blind people tell apart.
    assert ramp[25, 2] > 2 * ramp[25, 0]
    assert ramp[-1, 2] < ramp[-1, 0] / 2


def test_heat_turns_the_frame_grey():
    red = np.full((2, 3, 3), (200, 0, 0), "uint8")
    cold = heat_map.heated(red, np.zeros((2, 3)))
    assert np.ptp(cold[0, 0].astype(int)) < 15


def test_rows_wrap_where_frames_would_be_too_small():
    assert Tiles.rows((8, 32, 32, 3), NAMES, 1800).columns == 8
    tiles = Tiles.rows((32, 90, 160, 3), NAMES, 1800)
    assert tiles.size[0] <= 1800 and min(tiles.height, tiles.width) >= 160
    corners = {tiles.corner(number) for number in range(32)}
    assert len(corners) == 32
    assert max(y for _, y in corners) + tiles.height < tiles.size[1]


@pytest.mark.parametrize("count", [1, 3, 8, 32])
@pytest.mark.parametrize("size", [(32, 32), (90, 160), (160, 90), (7, 200)])
def test_every_strip_is_of_readable_width(count, size):
    tiles = Tiles.rows((count, *size, 3), NAMES, 1800)
    assert tiles.size[0] <= 1800
    assert tiles.height <= 600 and tiles.columns <= count


def film(weights, query=(1, 2, 0), **options):
    frames = np.zeros(SHAPE, "uint8")
    drawn = list(
        attention_plot.film(frames, look_of(weights, query), **options)
    )
    assert len({picture.size for picture in drawn}) == 1
    assert all(side % 2 == 0 for side in drawn[0].size)
    return [np.asarray(picture).astype(int) for picture in drawn]


def film_tile(picture):
    tiles = Tiles.alone(SHAPE, NAMES, 0)
    x, y = tiles.corner(0)
    return picture[y : y + tiles.height, x : x + tiles.width]


def test_a_film_marks_the_query_whole_in_its_own_frame_alone():
    whites = [
        (film_tile(picture) == 255).all(-1).sum()
        for picture in film(np.zeros((3, 4, 6)))
    ]
    assert whites[1] > whites[0] == whites[2] > 0


def test_a_film_is_hot_when_its_time_has_come():
    first, second, third = map(film_tile, film(weights_at(a=(2, 1, 3, 1.0))))
    yellow = [t[..., 0].max() - t[..., 2].min() for t in (first, second, third)]
    assert (third[..., 0] > 1.5 * third[..., 2]).any(), yellow
    assert not (first[..., 0] > 1.5 * first[..., 2] + 1).any()


def test_a_film_draws_arrows_to_the_frame_that_is_shown():
    weights = weights_at(a=(0, 1, 3, 0.6), b=(2, 2, 4, 0.4))
    with_arrows = film(weights, style="arrows")
    without = film(weights, style="arrows", arrows=0)
    changed = [
        (film_tile(one) != film_tile(other)).any()
        for one, other in zip(with_arrows, without, strict=True)
    ]
    assert changed == [True, False, True]


def test_cells_smaller_than_a_mark_still_get_one():
    frames = np.zeros((1, 400, 400, 3), "uint8")
    look = Look("b", (0, 50, 50), np.zeros((1, 200, 200)), (1.0, 2.0, 2.0))
    picture = np.asarray(attention_plot.strip(frames, look))
    rows, _ = np.nonzero((picture[:600, :600] == 255).all(-1))
    assert np.ptp(rows) >= markers.LEAST_QUERY_PX - 2


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        (np.zeros(SHAPE, "uint8"), {"style": "heats"}, "Did you mean 'heat'"),
        (np.zeros(SHAPE), {}, "Expected uint8 RGB frames"),
        (np.zeros(SHAPE[:-1], "uint8"), {}, "Expected uint8 RGB frames"),
    ],
)
def test_other_things_are_refused(frames, options, message):
    with pytest.raises(ValueError, match=message):
        attention_plot.strip(frames, look_of(np.zeros((3, 4, 6))), **options)


def test_names_are_written_below_frames():
    frames, look = np.zeros(SHAPE, "uint8"), look_of(np.zeros((3, 4, 6)))
    plain = np.asarray(attention_plot.strip(frames, look))
    named = attention_plot.strip(
        frames, look, names=["frame 0", "x", "frame 2"]
    )
    _, columns, _ = np.nonzero(plain != np.asarray(named))
    tiles = Tiles.rows(SHAPE, NAMES, 1800)
    assert tiles.corner(1)[0] - 1 <= columns.min()  # smooth letters
    assert columns.max() < tiles.corner(2)[0]


@pytest.mark.parametrize("style", attention_plot.STYLES)
@pytest.mark.parametrize("size", [(8, 12), (90, 20)])
@pytest.mark.parametrize("count", [1, 3])
def test_no_text_is_cut_or_over_another(style, size, count, monkeypatch):
    frames = np.zeros((count, *size, 3), "uint8")
    weights = np.linspace(0.1, 2000, count * 24).reshape(count, 4, 6)
    look = Look("b", (0, 1, 1), weights, (1.0, size[0] / 4, size[1] / 6))
    names = [f"frame {n} of a video with a lóng name" for n in range(count)]
    with rendered_text.recorded(monkeypatch) as texts:
        attention_plot.strip(
            frames, look, style=style, names=names, width_px=420
        )
        list(attention_plot.film(frames, look, style=style, names=names))
    rendered_text.check(texts)
