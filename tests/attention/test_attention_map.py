import numpy as np
import pytest

from nonlocal_tf.attention.attention_map import AttentionMap

WEIGHTS = np.random.default_rng(0).random((2, 3, 5))


def attention_map(
    weights=WEIGHTS, query=(0, 0, 0), stride=(2.0, 3.0, 4.0), **options
):
    return AttentionMap("block", query, weights, stride, **options)


def test_strongest_cells_come_first():
    weights = np.zeros((2, 3, 5))
    weights[1, 2, 4], weights[0, 1, 3] = 0.7, 0.3
    assert attention_map(weights).strongest_cells(2) == [(1, 2, 4), (0, 1, 3)]


@pytest.mark.parametrize(
    ("strongest", "count"), [(0.7, 2), (4.2, 1), (0.0, 0), (-1.0, 0)]
)
def test_cells_of_small_weight_are_not_salient(strongest, count):
    weights = np.full((2, 3, 5), min(strongest, 0.0))
    weights[1, 2, 4] = strongest
    if strongest > 0:
        weights[0, 1, 3] = 0.2  # more than a twentieth of 0.7, less of 4.2
    assert (
        attention_map(weights).salient_cells(9)
        == [(1, 2, 4), (0, 1, 3)][:count]
    )


def test_cells_tile_the_clip_by_default():
    assert attention_map().center((1, 2, 3)) == (3.0, 7.5, 14.0)
    assert attention_map().box((1, 2, 3)) == (6.0, 12.0, 9.0, 16.0)
    assert attention_map().center_pixel((1, 2, 3)) == (3, 7, 14)


def test_centers_are_relative_to_the_first():
    attention = attention_map(first_center=(0.5, 3.5, 2.0))
    assert attention.center((1, 2, 3)) == (2.5, 9.5, 14.0)
    assert attention.box((1, 2, 3)) == (8.0, 12.0, 11.0, 16.0)


def test_transform_maps_centers():
    attention = attention_map(first_center=(0.5, 3.5, 2.0))
    moved = attention.transform((1.0, 10.0, 20.0), (3.0, 0.5, 2.0))
    for cell in [(0, 0, 0), (1, 2, 3)]:
        t, y, x = attention.center(cell)
        expected = ((t + 1) * 3, (y + 10) / 2, (x + 20) * 2)
        assert moved.center(cell) == pytest.approx(expected)
    assert moved.stride == (6.0, 1.5, 8.0)


def test_frames_take_the_nearest_time():
    attention = attention_map(first_center=(1.5, 1.5, 2.0))
    assert [attention.nearest_time(frame) for frame in range(5)] == [
        0,
        0,
        1,
        1,
        1,
    ]
    np.testing.assert_allclose(
        attention.frame_weights(4, 9, 20)[[1, 4, 7]][:, 2],
        WEIGHTS[1, :, 0] * 0.875 + WEIGHTS[1, :, 1] * 0.125,
    )


def test_weights_are_bilinear_between_centers():
    attention = attention_map(
        first_center=(1.0, 0.5, 2.5), stride=(2.0, 3.0, 4.0)
    )
    pixels = attention.frame_weights(0, 7, 20)
    np.testing.assert_allclose(pixels[::3, 2:19:4], WEIGHTS[0])
    np.testing.assert_allclose(
        pixels[0, 3:6],
        [
            w @ WEIGHTS[0, 0, :2]
            for w in ([0.75, 0.25], [0.5, 0.5], [0.25, 0.75])
        ],
    )


def test_weights_are_zero_a_stride_beyond_the_cells():
    attention = attention_map(first_center=(1.0, 10.5, 8.5))
    lit = attention.frame_weights(0, 40, 60) > 0
    rows, columns = np.nonzero(lit)
    assert (rows.min(), rows.max()) == (7, 19)
    assert (columns.min(), columns.max()) == (4, 28)


def test_negative_weights_become_zero():
    assert attention_map(-WEIGHTS).frame_weights(0, 9, 20).max() == 0
