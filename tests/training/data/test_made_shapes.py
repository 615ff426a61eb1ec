"""Distances to shapes of one area."""

import numpy as np
import pytest

from training.data import made_shapes
from training.data.made_shapes import REACH, SHAPES, TABLE_SIZE

CELL = 2 * REACH / TABLE_SIZE
X, Y = np.meshgrid(*[(np.arange(TABLE_SIZE) + 0.5) * CELL - REACH] * 2)


def table(name):
    return made_shapes.distance_tables()[list(SHAPES).index(name)]


@pytest.mark.parametrize("name", SHAPES)
def test_all_have_the_area_of_a_unit_disc(name):
    # A cell at the outline counts in part. An outline of length 10 with an
    # error of a tenth of a cell of it is 0.03.
    share = np.clip(0.5 - table(name) / CELL, 0, 1)
    assert share.sum() * CELL**2 == pytest.approx(np.pi, abs=0.03)


@pytest.mark.parametrize("name", SHAPES)
def test_their_centers_of_mass_are_in_the_middle(name):
    share = np.clip(0.5 - table(name) / CELL, 0, 1)
    assert (share * X).sum() / share.sum() == pytest.approx(0, abs=0.01)
    assert (share * Y).sum() / share.sum() == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("name", SHAPES)
def test_tables_hold_the_whole_shape(name):
    distances = table(name)
    for edge in (distances[0], distances[-1], distances.T[0], distances.T[-1]):
        assert edge.min() > 0


def test_distances_to_a_disc():
    # Its 48 corners are 0.5 % farther from the center than its sides.
    np.testing.assert_allclose(table("disc"), np.hypot(X, Y) - 1, atol=0.006)


def test_distances_to_a_square():
    half = np.sqrt(np.pi) / 2
    x, y = abs(X) - half, abs(Y) - half
    outside = np.hypot(np.maximum(x, 0), np.maximum(y, 0))
    expected = outside + np.minimum(np.maximum(x, y), 0)
    np.testing.assert_allclose(table("square"), expected, atol=1e-6)
