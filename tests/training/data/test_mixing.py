"""Mixup and CutMix, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from training.data import mixing

RNG = np.random.default_rng(0)
CLIPS = RNG.integers(0, 256, (5, 2, 6, 9, 3), dtype=np.uint8)
LABELS = np.array([2, 0, 1, 1, 3])
PARTNER = [1, 0, 3, 2, 4]
ONE_HOT = np.eye(4, dtype="float32")[LABELS]


def mixtures(mixup, cutmix, count=40):
    for number in range(count):
        clips, labels = mixing.mixture(
            tf.constant(CLIPS), ONE_HOT, (7, number), mixup, cutmix
        )
        yield clips.numpy(), labels.numpy()


def share_of(labels):
    """The share of own labels, of an example whose other has another."""
    return float(labels[0, LABELS[0]])


def test_mixup_adds_clips_and_labels_in_one_proportion():
    shares = []
    for clips, labels in mixtures(0.8, 0):
        own = share_of(labels)
        blend = own * CLIPS + (1 - own) * CLIPS[PARTNER].astype("float64")
        assert np.abs(clips - blend).max() <= 0.5 + 1e-4  # of rounding
        expected = own * ONE_HOT + (1 - own) * ONE_HOT[PARTNER]
        np.testing.assert_allclose(labels, expected, atol=1e-6)
        shares.append(own)
    # Beta(0.8, 0.8): mean 0.5, deviation 0.31; five deviations of 40 draws.
    assert abs(np.mean(shares) - 0.5) < 5 * 0.31 / np.sqrt(40)
    assert np.std(shares) > 0.2


def test_cutmix_replaces_one_box_and_counts_its_area():
    areas = []
    for clips, labels in mixtures(0, 1.0):
        other = (clips == CLIPS[PARTNER]).all(axis=(0, 1, 4))
        own = (clips == CLIPS).all(axis=(0, 1, 4))
        assert (own ^ other).all()  # in all frames and examples alike
        rows, columns = other.any(axis=1), other.any(axis=0)
        np.testing.assert_array_equal(other, rows[:, None] & columns)
        for line in (rows, columns):
            assert np.abs(np.diff(line.astype(int))).sum() <= 2  # one piece
        assert share_of(labels) == pytest.approx(1 - other.mean(), abs=1e-6)
        areas.append(other.mean())
    assert 0.05 < np.mean(areas) < 0.5 and len(set(areas)) > 10


def test_half_of_the_batches_have_each_where_both_are_asked_for():
    blended = sum(
        not ((clips == CLIPS) | (clips == CLIPS[PARTNER])).all()
        for clips, _ in mixtures(0.8, 1.0, 60)
    )
    assert 15 <= blended <= 45  # binomial of 60: four deviations


def test_a_batch_depends_on_seed_and_number_alone():
    batches = tf.data.Dataset.from_tensors((CLIPS, LABELS)).repeat(6)
    batches = batches.enumerate(3)
    whole = list(mixing.mixed_batches(batches, 7, 4, 0.8, 1.0))
    rest = list(mixing.mixed_batches(batches.skip(4), 7, 4, 0.8, 1.0))
    for batch, resumed in zip(whole[4:], rest, strict=True):
        for array, expected in zip(resumed, batch, strict=True):
            np.testing.assert_array_equal(array, expected)
    direct = mixing.mixture(tf.constant(CLIPS), ONE_HOT, (7, 4), 0.8, 1.0)
    for array, expected in zip(direct, whole[1], strict=True):
        np.testing.assert_array_equal(array, expected)
    assert not np.array_equal(whole[0][1], whole[2][1])


def test_two_workers_mix_the_pairs_of_one():
    whole = mixing.mixture(tf.constant(CLIPS), ONE_HOT, (7, 4), 0.8, 1.0)
    shares = [
        mixing.mixture(tf.constant(CLIPS[own]), ONE_HOT[own], (7, 4), 0.8, 1.0)
        for own in (slice(2), slice(2, None))
    ]
    for array, *parts in zip(whole, *shares, strict=True):
        np.testing.assert_array_equal(np.concatenate(parts), array)


def test_an_unreadable_clip_is_not_mixed_and_keeps_its_weight():
    weights = np.float32([1, 0, 1, 1, 1])
    batches = tf.data.Dataset.from_tensors((CLIPS, LABELS, weights))
    batches = batches.enumerate(4)
    ((clips, labels, kept),) = mixing.mixed_batches(batches, 7, 4, 0.8, 1.0)
    np.testing.assert_array_equal(kept, weights)
    np.testing.assert_array_equal(clips[:2], CLIPS[:2])
    np.testing.assert_array_equal(labels[:2], ONE_HOT[:2])
    whole = mixing.mixture(tf.constant(CLIPS), ONE_HOT, (7, 4), 0.8, 1.0)
    for array, expected in zip((clips, labels), whole, strict=True):
        np.testing.assert_array_equal(array[2:], expected[2:])
