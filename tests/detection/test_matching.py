"""Matching and sampling beside torchvision's numbers and by their rules."""

import numpy as np
import pytest
from keras import ops

from nonlocal_tf.detection import anchors, boxes, matching
from tests.detection import golden

STORED = golden.group("boxes", "matcher")
RULES = {
    "rpn": (0.3, 0.7, True),
    "rpn_no_low_quality": (0.3, 0.7, False),
    "roi": (0.5, 0.5, False),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["quality", "quality_single"])
def test_matches_are_torchvisions(name, rule):
    got = matching.match(ops.convert_to_tensor(STORED[name]), *RULES[rule])
    np.testing.assert_array_equal(got, STORED[f"{name}_{rule}"])


def test_matches_of_all_anchors_are_torchvisions():
    every = np.concatenate(anchors.pyramid_anchors((128, 192)))
    quality = boxes.iou(STORED["gt_boxes"], every)
    got = matching.match(quality, 0.3, 0.7, True)
    np.testing.assert_array_equal(got, STORED["anchors_128x192_rpn"])


def test_padding_changes_nothing():
    padded = np.stack([np.pad(STORED["quality"], ((0, 2), (0, 0)))] * 2)
    is_object = np.arange(7) < np.array([[5], [0]])
    got = matching.match(
        ops.convert_to_tensor(padded), 0.3, 0.7, True, is_object
    )
    np.testing.assert_array_equal(got[0], STORED["quality_rpn"])
    np.testing.assert_array_equal(got[1], [matching.BELOW] * 24)


def test_without_objects_everything_is_background():
    got = matching.match(ops.zeros((3, 0, 5)), 0.3, 0.7, True)
    np.testing.assert_array_equal(got, np.full((3, 5), matching.BELOW))


def test_an_object_that_nothing_overlaps_gets_nothing():
    quality = np.array([[0.0, 0.0], [0.2, 0.8]], "float32")
    got = matching.match(ops.convert_to_tensor(quality), 0.3, 0.7, True)
    np.testing.assert_array_equal(got, [matching.BELOW, 1])


def chosen(labels, count, positives, seed=0):
    uniform = np.random.default_rng(seed).random(labels.shape, "float32")
    return map(np.asarray, matching.sample(labels, uniform, count, positives))


def test_a_sample_has_as_many_of_each_as_asked_for():
    labels = np.repeat([1, -1, 0], [9, 5, 20])[None]
    places, weights = chosen(labels, 12, 4)
    assert places.shape == (1, 12) and weights.all()
    picked = labels[0][places[0]]
    np.testing.assert_array_equal(picked, [1] * 4 + [0] * 8)
    assert len(set(places[0])) == 12


def test_negatives_fill_up_where_positives_are_few():
    labels = np.array([[0, 1, 0, 0, -1, 0, 0], [1, 1, 1, -1, 0, 0, -1]])
    places, weights = chosen(labels, 5, 2)
    kept = [
        row[weight > 0] for row, weight in zip(places, weights, strict=True)
    ]
    assert sorted(labels[0][kept[0]]) == [0, 0, 0, 0, 1]
    assert sorted(labels[1][kept[1]]) == [0, 0, 1, 1]


def test_with_nothing_to_choose_all_weights_are_zero():
    _, weights = chosen(np.full((2, 7), -1), 5, 2)
    assert weights.shape == (2, 5) and not weights.any()


def test_a_sample_is_that_of_its_numbers():
    labels = np.random.default_rng(3).integers(-1, 2, (2, 40))
    first, again, other = (
        list(chosen(labels, 11, 3, seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != other[0]).any()


def test_every_candidate_is_equally_likely():
    labels = np.zeros((4000, 5), int)
    places, _ = chosen(labels, 2, 1)
    share = np.bincount(places.ravel(), minlength=5) / 8000
    # Five standard deviations of a share of 8,000 draws.
    np.testing.assert_allclose(share, 0.2, atol=5 * np.sqrt(0.16 / 8000))
