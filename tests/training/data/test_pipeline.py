import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.training.data.parts import Unread, part_of
from training.data import datasets
from training.data.clip_reader import Probe
from training.data.manifest import Manifest, Video
from training.data.pipeline import feed, padded, random_example
from training.data.sampling_config import SamplingConfig
from training.data.video_split import VideoSplit


def test_feed_normalizes_and_keeps_order():
    batches = datasets.load("digits_recall").train_batches(3, 7, 0, 4)
    fed = feed(batches)
    assert fed.cardinality() == 4
    for (pixels, labels), (clips, same) in zip(batches, fed, strict=True):
        expected = (pixels.numpy().astype("float32") - 114.75) / 57.375
        np.testing.assert_allclose(clips, expected, rtol=1e-6)
        np.testing.assert_array_equal(labels, same)


def test_padding_repeats_examples_with_weight_zero():
    clips, labels = np.arange(1.0, 7.0).reshape(3, 2), np.array([7, 8, 9])
    batches = tf.data.Dataset.from_tensors((clips, labels))
    ((clips, labels, weights),) = padded(batches, 2)
    assert clips.numpy().tolist() == [[1, 2], [3, 4], [5, 6], [1, 2]]
    assert labels.numpy().tolist() == [7, 8, 9, 7]
    assert weights.numpy().tolist() == [1, 1, 1, 0]


def test_videos_of_an_epoch_have_independent_draws():
    part = part_of(*[Probe(90, 200, 300, 25.0)] * 20)
    config = SamplingConfig(frames=2, frame_stride=3, crop_px=16)
    drawn = []

    def read(row, frames, windows, size_px):
        drawn.append((int(frames[0]), *windows.numpy()[0].tolist()))
        return tf.zeros((1, 2, 16, 16, 3), tf.uint8), 1.0

    for number in range(2 * len(part)):
        random_example(part, config, read, 7, tf.constant(number, tf.int64))
    assert len(set(drawn)) == 2 * len(part)


def test_augmented_clips_are_functions_of_seed_and_number():
    part = part_of(*[Probe(90, 20, 30, 25.0)] * 5)
    config = SamplingConfig(
        frames=2,
        frame_stride=3,
        crop_px=16,
        crop_area=(0.3, 1.0),
        rand_augment=2,
        grey=0.5,
        erase=0.5,
        repeats=2,
        time_jitter=0.5,
        reversal=0.5,
    )
    windows = []

    def read(row, frames, window, size_px):
        windows.append(window.shape)
        rows = tf.range(16)[None, None, :, None, None]
        shade = tf.cast(40 + 5 * rows, tf.uint8)
        return tf.broadcast_to(shade, (1, 2, 16, 16, 3)), 1.0

    def clips(first, seed):
        numbers = tf.data.Dataset.range(first, 15)
        return [
            pixels.numpy()
            for pixels, *_ in numbers.map(
                lambda n: random_example(part, config, read, seed, n)
            )
        ]

    whole, resumed, other = clips(0, 7), clips(11, 7), clips(11, 8)
    np.testing.assert_array_equal(whole[11:], resumed)
    assert not np.array_equal(other, resumed)
    assert len({clip.tobytes() for clip in whole}) > 10
    assert {shape for shape in windows} == {(1, 5)}


def drawn(config, count, probes=5):
    """Return video and frames of the first training examples."""
    part = part_of(*[Probe(90, 20, 30, 25.0)] * probes)
    rows = []

    def read(row, frames, windows, size_px):
        place = windows.numpy()[0].tolist()
        rows.append((int(row["index"]), frames.numpy().tolist(), place))
        return tf.zeros((1, len(frames), 16, 16, 3), tf.uint8), 1.0

    for number in range(count):
        random_example(part, config, read, 7, tf.constant(number, tf.int64))
    return rows


def test_a_share_of_clips_is_reversed():
    config = SamplingConfig(frames=3, frame_stride=4, crop_px=16)
    reversal = dataclasses.replace(config, reversal=0.3)
    pairs = zip(drawn(config, 40, 7), drawn(reversal, 40, 7), strict=True)
    reversed_count = 0
    for (video, frames, place), other in pairs:
        is_reversed = other == (video, frames[::-1], place)
        assert is_reversed or other == (video, frames, place)
        reversed_count += is_reversed
    assert 5 < reversed_count < 20


def test_strides_of_clips_vary():
    config = SamplingConfig(frames=3, frame_stride=9, crop_px=16)
    jitter = dataclasses.replace(config, time_jitter=0.5)
    strides = [f[2] - f[0] for _, f, _ in drawn(jitter, 40)]
    assert 12 <= min(strides) < 15 and 22 < max(strides) <= 27
    assert len(set(strides)) > 7


@pytest.mark.parametrize("repeats", [2, 3])
def test_each_video_is_repeated_within_a_batch(repeats):
    config = SamplingConfig(frames=2, crop_px=16, repeats=repeats)
    batch = 2 * repeats
    rows = drawn(config, 5 * batch)
    videos = np.reshape([video for video, *_ in rows], (5, repeats, 2))
    np.testing.assert_array_equal(videos, videos[:, :1].repeat(repeats, 1))
    assert (videos[:, 0, 0] != videos[:, 0, 1]).sum() >= 4
    assert np.bincount(videos[:, 0].ravel()).tolist() == [2] * 5
    assert len({str(row) for row in rows}) == len(rows)


def test_balanced_sampling_has_one_video_of_each_class_a_round():
    labels = [0, 2, 2, 2, 0, 2, 4]
    pairs = [
        (Video(str(n), (label,)), Probe(90, 20, 30, 25.0))
        for n, label in enumerate(labels)
    ]
    manifest = Manifest(tuple("abcde"), {}, False)
    part = VideoSplit("train", pairs, Unread(), manifest)
    config = SamplingConfig(frames=2, crop_px=16, balanced=True)
    videos, draws = [], []

    def read(row, frames, windows, size_px):
        videos.append(int(row["index"]))
        draws.append((int(frames[0]), *windows.numpy()[0].tolist()))
        return tf.zeros((1, 2, 16, 16, 3), tf.uint8), 1.0

    for number in range(3 * 8):
        random_example(part, config, read, 7, tf.constant(number, tf.int64))
    rounds = np.reshape([labels[video] for video in videos], (8, 3))
    np.testing.assert_array_equal(np.sort(rounds), [[0, 2, 4]] * 8)
    assert len({tuple(row) for row in rounds}) > 2  # in random order
    of_class = [video for video in videos if labels[video] == 2]
    assert sorted(of_class[:4]) == sorted(of_class[4:]) == [1, 2, 3, 5]
    assert len(set(draws)) == len(draws)


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_flipped_clip_is_of_the_other_class_of_its_pair(multi_label):
    pairs = [(Video("a", (1,)), Probe(90, 20, 30, 25.0))]
    manifest = Manifest(("sit", "left", "right"), {}, multi_label)
    part = VideoSplit("train", pairs, Unread(), manifest)
    config = SamplingConfig(frames=2, crop_px=16, flip_pairs="left:right")
    flips = []

    def read(row, frames, windows, size_px):
        flips.append(int(windows[0, 4]))
        return tf.zeros((1, 2, 16, 16, 3), tf.uint8), 1.0

    labels = [
        random_example(part, config, read, 7, tf.constant(n, tf.int64))[1]
        for n in range(12)
    ]
    if multi_label:
        assert all(np.sum(label) == 1 for label in labels)
        labels = np.argmax(labels, axis=1)
    assert [int(label) for label in labels] == [1 + flip for flip in flips]
    assert set(flips) == {0, 1}
