"""Anchors beside torchvision's, exactly."""

import numpy as np
import pytest

from nonlocal_tf.detection import anchors
from tests.detection import golden

SIZES = [
    tuple(map(int, s)) for s in golden.arrays("boxes")["anchors/image_sizes"]
]


@pytest.mark.parametrize("size", SIZES)
def test_anchors_are_torchvisions(size):
    stored = golden.group("boxes", f"anchors/{size[0]}x{size[1]}")
    found = anchors.pyramid_anchors(size)
    for level, got in enumerate(found, start=2):
        np.testing.assert_array_equal(got, stored[f"P{level}"])


@pytest.mark.parametrize("size", SIZES)
def test_grids_are_torchvisions(size):
    stored = golden.group("boxes", f"anchors/{size[0]}x{size[1]}")
    np.testing.assert_array_equal(
        anchors.grid_sizes(size), stored["grid_sizes"]
    )


def test_anchors_of_a_cell_are_torchvisions():
    for level, size_px in enumerate(anchors.SIZES_PX, start=2):
        expected = golden.arrays("boxes")[f"anchors/cell_P{level}"]
        np.testing.assert_array_equal(anchors.cell_anchors(size_px), expected)


@pytest.mark.parametrize("size", SIZES)
def test_anchors_at_places_are_those_of_the_pyramid(size):
    every = anchors.pyramid_anchors(size)
    grids = anchors.grid_sizes(size)
    for expected, grid, size_px in zip(
        every, grids, anchors.SIZES_PX, strict=True
    ):
        places = np.random.default_rng(0).integers(0, len(expected), (2, 9))
        got = anchors.anchors_at(places.astype("int32"), size, grid, size_px)
        np.testing.assert_array_equal(got, expected[places])
