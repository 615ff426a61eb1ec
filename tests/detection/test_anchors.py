"""Anchors are exactly torchvision's."""

import numpy as np
import pytest

from nonlocal_tf.detection import anchors
from tests.detection import golden

SIZES = [
    tuple(map(int, s)) for s in golden.arrays("boxes")["anchors/image_sizes"]
]


@pytest.mark.parametrize("size", SIZES)
def test_anchors_equal_torchvision(size):
    stored = golden.group("boxes", f"anchors/{size[0]}x{size[1]}")
    for level, actual in enumerate(anchors.pyramid_anchors(size), start=2):
        np.testing.assert_array_equal(actual, stored[f"P{level}"])


@pytest.mark.parametrize("size", SIZES)
def test_grid_sizes_equal_torchvision(size):
    stored = golden.group("boxes", f"anchors/{size[0]}x{size[1]}")
    np.testing.assert_array_equal(
        anchors.grid_sizes(size), stored["grid_sizes"]
    )


def test_cell_anchors_equal_torchvision():
    for level, size_px in enumerate(anchors.SIZES_PX, start=2):
        expected = golden.arrays("boxes")[f"anchors/cell_P{level}"]
        np.testing.assert_array_equal(anchors.cell_anchors(size_px), expected)


@pytest.mark.parametrize("size", SIZES)
def test_anchors_by_index_equal_those_of_the_pyramid(size):
    for expected, grid, size_px in zip(
        anchors.pyramid_anchors(size),
        anchors.grid_sizes(size),
        anchors.SIZES_PX,
        strict=True,
    ):
        indices = np.random.default_rng(0).integers(0, len(expected), (2, 9))
        actual = anchors.anchors_at(
            indices.astype("int32"), size, grid, size_px
        )
        np.testing.assert_array_equal(actual, expected[indices])
