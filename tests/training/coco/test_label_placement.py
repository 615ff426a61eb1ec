"""Placement of labels beside boxes."""

import itertools

import numpy as np
import pytest

from tests.attention.plots import rendered_text
from training.coco.label_placement import place_labels


def rectangles(corners, sizes):
    """Return the rectangles of labels that have a place."""
    return [
        (*corner, corner[0] + width, corner[1] + height)
        for corner, (width, height) in zip(corners, sizes, strict=True)
        if corner is not None
    ]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("count", "image"), [(4, (61, 47)), (90, (300, 200))])
def test_labels_are_inside_and_do_not_overlap(seed, count, image):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-9, 1, (count, 2)) + rng.uniform(0, 1, 2) * image
    boxes = np.concatenate(
        [corner, corner + rng.uniform(1, 50, corner.shape)], 1
    )
    sizes = [(int(width), 11) for width in rng.integers(9, 60, count)]
    labels = rectangles(place_labels(boxes, sizes, image), sizes)
    assert labels
    for x1, y1, x2, y2 in labels:
        assert 0 <= x1 and x2 <= image[0]
        assert 0 <= y1 and y2 <= image[1]
    for first, second in itertools.combinations(labels, 2):
        assert not rendered_text.overlap(first, second)


def test_a_single_label_is_above_its_box():
    assert place_labels([(20, 30, 50, 70)], [(25, 11)], (100, 90)) == [(20, 19)]


def test_a_label_at_an_edge_is_moved_inside():
    boxes = [(80, -5, 99, 40), (-7, 60, 12, 95)]
    sizes = [(31, 11), (35, 11)]
    (x1, y), (x2, _) = place_labels(boxes, sizes, (100, 90))
    assert (x1, x2) == (69, 0) and y >= 0


def test_the_second_of_two_labels_avoids_the_first():
    box = (20, 30, 50, 70)
    first, second = place_labels([box, box], [(25, 11)] * 2, (100, 90))
    assert first == (20, 19)
    assert abs(second[1] - first[1]) >= 11 or abs(second[0] - first[0]) >= 25


def test_labels_without_a_free_place_are_omitted():
    corners = place_labels([(0, 0, 20, 20)] * 9, [(19, 9)] * 9, (20, 20))
    assert len([c for c in corners if c is not None]) == 2
    assert place_labels([(0, 0, 9, 9)], [(30, 5)], (20, 20)) == [None]


def test_without_boxes_there_are_no_labels():
    assert place_labels([], [], (20, 20)) == []
