import numpy as np
import pytest

from nonlocal_tf.attention.attention_map import Look

WEIGHTS = np.random.default_rng(0).random((2, 3, 5))


def look(weights=WEIGHTS, query=(0, 0, 0), cell=(2.0, 3.0, 4.0), **options):
    return Look("block", query, weights, cell, **options)


def test_strongest_cells_come_first():
    weights = np.zeros((2, 3, 5))
    weights[1, 2, 4], weights[0, 1, 3] = 0.7, 0.3
    assert look(weights).strongest(2) == [(1, 2, 4), (0, 1, 3)]


@pytest.mark.parametrize(
    ("strongest", "count"), [(0.7, 2), (4.2, 1), (0.0, 0), (-1.0, 0)]
)
def test_faint_cells_are_not_clear(strongest, count):
    weights = np.full((2, 3, 5), min(strongest, 0.0))
    weights[1, 2, 4] = strongest
    if strongest > 0:
        weights[0, 1, 3] = 0.2  # more than a twentieth of 0.7, less of 4.2
    assert look(weights).clearest(9) == [(1, 2, 4), (0, 1, 3)][:count]


def test_cells_tile_the_clip_if_nothing_is_said():
    assert look().centre((1, 2, 3)) == (3.0, 7.5, 14.0)
    assert look().box((1, 2, 3)) == (6.0, 12.0, 9.0, 16.0)
    assert look().middle((1, 2, 3)) == (3, 7, 14)


def test_cells_are_where_the_first_is():
    one = look(first=(0.5, 3.5, 2.0))
    assert one.centre((1, 2, 3)) == (2.5, 9.5, 14.0)
    assert one.box((1, 2, 3)) == (8.0, 12.0, 11.0, 16.0)


def test_a_look_moves_with_its_pixels():
    one = look(first=(0.5, 3.5, 2.0))
    moved = one.moved((1.0, 10.0, 20.0), (3.0, 0.5, 2.0))
    for cell in [(0, 0, 0), (1, 2, 3)]:
        t, y, x = one.centre(cell)
        there = ((t + 1) * 3, (y + 10) / 2, (x + 20) * 2)
        assert moved.centre(cell) == pytest.approx(there)
    assert moved.cell == (6.0, 1.5, 8.0)


def test_a_frame_has_the_weights_of_its_nearest_time():
    one = look(first=(1.5, 1.5, 2.0))
    assert [one.time_of(frame) for frame in range(5)] == [0, 0, 1, 1, 1]
    np.testing.assert_allclose(
        one.on_frame(4, 9, 20)[[1, 4, 7]][:, 2],
        WEIGHTS[1, :, 0] * 0.875 + WEIGHTS[1, :, 1] * 0.125,
    )


def test_between_the_middles_of_cells_weights_are_linear():
    one = look(first=(1.0, 0.5, 2.5), cell=(2.0, 3.0, 4.0))
    pixels = one.on_frame(0, 7, 20)
    np.testing.assert_allclose(pixels[::3, 2:19:4], WEIGHTS[0])
    np.testing.assert_allclose(
        pixels[0, 3:6],
        [
            w @ WEIGHTS[0, 0, :2]
            for w in ([0.75, 0.25], [0.5, 0.5], [0.25, 0.75])
        ],
    )


def test_far_from_all_cells_there_is_no_weight():
    one = look(first=(1.0, 10.5, 8.5))
    lit = one.on_frame(0, 40, 60) > 0
    rows, columns = np.nonzero(lit)
    assert (rows.min(), rows.max()) == (7, 19)
    assert (columns.min(), columns.max()) == (4, 28)


def test_negative_weights_do_not_show():
    assert look(-WEIGHTS).on_frame(0, 9, 20).max() == 0
