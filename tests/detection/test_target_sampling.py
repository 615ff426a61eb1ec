"""Sampling of positive and negative boxes."""

import numpy as np

from nonlocal_tf.detection import target_sampling


def sample(labels, count, max_positives, seed=0):
    uniform = np.random.default_rng(seed).random(labels.shape, "float32")
    return map(
        np.asarray,
        target_sampling.sample(labels, uniform, count, max_positives),
    )


def test_sample_has_the_requested_numbers_of_both():
    labels = np.repeat([1, -1, 0], [9, 5, 20])[None]
    indices, weights = sample(labels, 12, 4)
    assert indices.shape == (1, 12) and weights.all()
    np.testing.assert_array_equal(labels[0][indices[0]], [1] * 4 + [0] * 8)
    assert len(set(indices[0])) == 12


def test_negatives_fill_up_where_positives_are_few():
    labels = np.array([[0, 1, 0, 0, -1, 0, 0], [1, 1, 1, -1, 0, 0, -1]])
    indices, weights = sample(labels, 5, 2)
    first, second = (
        sorted(row[index[weight > 0]])
        for row, index, weight in zip(labels, indices, weights, strict=True)
    )
    assert first == [0, 0, 0, 0, 1]
    assert second == [0, 0, 1, 1]


def test_without_valid_boxes_all_weights_are_zero():
    _, weights = sample(np.full((2, 7), -1), 5, 2)
    assert weights.shape == (2, 5) and not weights.any()


def test_sample_depends_on_the_random_numbers_alone():
    labels = np.random.default_rng(3).integers(-1, 2, (2, 40))
    first, again, different = (
        list(sample(labels, 11, 3, seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != different[0]).any()


def test_all_boxes_are_equally_likely():
    labels = np.zeros((4000, 5), int)
    indices, _ = sample(labels, 2, 1)
    share = np.bincount(indices.ravel(), minlength=5) / 8000
    # Five standard deviations of a share of 8,000 draws.
    np.testing.assert_allclose(share, 0.2, atol=5 * np.sqrt(0.16 / 8000))
