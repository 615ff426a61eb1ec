import keras
import numpy as np
import pytest

from nonlocal_tf.layers.attention_layout import AttentionLayout
from tests.harness import normal

LAYOUTS = {
    "spacetime": AttentionLayout(),
    "groups": AttentionLayout("spacetime", frames=2),
    "space": AttentionLayout("space"),
    "time": AttentionLayout("time"),
}


def array(x):
    return keras.ops.convert_to_numpy(x)


def rows_by_hand(x, name):
    """Build the rows of a clip `(t, h, w, c)`, position by position."""
    t, h, w, _ = x.shape
    places = [(i, j) for i in range(h) for j in range(w)]
    frames = {
        "spacetime": [range(t)],
        "groups": [range(k, k + 2) for k in range(0, t, 2)],
        "space": [[k] for k in range(t)],
    }
    if name == "time":
        return [[x[k, i, j] for k in range(t)] for i, j in places]
    return [[x[k, i, j] for k in ks for i, j in places] for ks in frames[name]]


@pytest.mark.parametrize("name", LAYOUTS)
def test_to_rows(name):
    x = normal((2, 4, 3, 5, 7))
    rows = array(LAYOUTS[name].to_rows(x))
    expected = [row for clip in x for row in rows_by_hand(clip, name)]
    np.testing.assert_array_equal(rows, expected)


@pytest.mark.parametrize("name", LAYOUTS)
def test_from_rows_inverts_to_rows(name):
    x = normal((2, 4, 3, 5, 7))
    rows = LAYOUTS[name].to_rows(x)
    positions = array(LAYOUTS[name].from_rows(rows, like=x))
    np.testing.assert_array_equal(positions, x.reshape(2, 60, 7))


@pytest.mark.parametrize("name", LAYOUTS)
def test_key_box_contains_the_positions_of_a_row(name):
    x = normal((4, 3, 5, 1))
    for position in np.ndindex(4, 3, 5):
        first, sizes = LAYOUTS[name].key_box(position, (4, 3, 5))
        box = tuple(slice(f, f + s) for f, s in zip(first, sizes, strict=True))
        (row,) = (row for row in rows_by_hand(x, name) if x[position] in row)
        np.testing.assert_array_equal(x[box].reshape(-1, 1), row)


@pytest.mark.parametrize("name", LAYOUTS)
def test_row_index_of_a_position(name):
    x = normal((1, 4, 3, 5, 1))
    rows = array(LAYOUTS[name].to_rows(x))[..., 0]
    row_index = array(LAYOUTS[name].row_index(np.arange(60), 15))
    for position, row in enumerate(row_index):
        assert x.reshape(-1)[position] in rows[row]
