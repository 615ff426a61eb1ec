"""Batches for `model.fit`."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.data import films
from tests.training.data.small_datasets import (
    SMALL,
    as_arrays,
    assert_equal,
    load,
    load_classes,
)
from training.data import datasets, mixing
from training.data.data_config import DataConfig
from training.data.manifest import Manifest, Video
from training.data.video_dataset import VideoDataset
from training.io.user_error import UserError

SEED, BATCH = 3, 4


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """18 videos of 2 classes, 14 of them for training; read-only."""
    folder = tmp_path_factory.mktemp("videos")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        return load_classes(folder)


def expected_batches(videos, first, last):
    """Batches of training steps, without weights."""
    batches = videos.train_batches(BATCH, SEED, first, last)
    return [batch[:2] for batch in as_arrays(batches)]


def raw(videos, split="train", batch=BATCH):
    return videos.batches(split, batch, seed=SEED, preprocess=None)


def test_epochs_are_successive_training_steps(videos):
    batches = raw(videos)
    for epoch in range(3):
        expected = expected_batches(videos, 4 * epoch, 4 * epoch + 4)
        assert_equal(as_arrays(batches), expected)


def test_epochs_differ(videos):
    batches = raw(videos)
    first, second = as_arrays(batches), as_arrays(batches)
    assert any((a[0] != b[0]).any() for a, b in zip(first, second, strict=True))


def test_repeated_batches_begin_another_epoch(videos):
    batches = as_arrays(raw(videos).repeat(2))
    assert_equal(batches, expected_batches(videos, 0, 8))


def test_set_epoch_applies_to_existing_batches(videos):
    batches = raw(videos)
    videos.set_epoch(2)
    assert_equal(as_arrays(batches), expected_batches(videos, 8, 12))
    assert_equal(as_arrays(raw(videos)), expected_batches(videos, 0, 4))


def test_training_batches_are_full_and_counted(videos):
    batches = videos.batches("train", BATCH).map(lambda x, y: (x, y))
    assert int(batches.cardinality()) == -(-14 // BATCH)
    pixels, labels = batches.element_spec
    assert pixels.shape == (BATCH, 3, 16, 16, 3)
    assert labels.shape == (BATCH,)


def test_pixels_are_normalized(videos):
    (pixels, _), *_ = as_arrays(videos.batches("train", BATCH, seed=SEED))
    ((expected, _),) = expected_batches(videos, 0, 1)
    expected = (expected.astype("float64") - 114.75) / 57.375
    np.testing.assert_allclose(pixels, expected, atol=1e-6)


def test_own_preprocessing_gets_uint8_batches(videos):
    inputs = []

    def halve(pixels):
        inputs.append((pixels.dtype, pixels.shape))
        return tf.cast(pixels, tf.float32) / 2

    batches = videos.batches("train", BATCH, seed=SEED, preprocess=halve)
    assert inputs == [(tf.uint8, (BATCH, 3, 16, 16, 3))]
    ((expected, _),) = expected_batches(videos, 0, 1)
    np.testing.assert_array_equal(next(iter(batches))[0], expected / 2)


def test_preprocessing_is_a_function(videos):
    with pytest.raises(UserError, match="a function of pixels"):
        videos.batches("train", 4, preprocess="normalize")


@pytest.mark.parametrize("seed", ["x", 1.5, None])
def test_seed_is_an_integer(videos, seed):
    with pytest.raises(UserError, match=f"integer. Received: {seed!r}"):
        videos.batches("train", 4, seed=seed)
    with pytest.raises(UserError, match="seed as an integer"):
        videos.source("train", seed=seed)


def test_begun_batches_have_their_size_and_seed(videos):
    first, second = raw(videos), videos.batches("train", 5, seed=np.int64(8))
    videos.set_epoch(2)
    assert videos.begun_batches(2) == ""
    next(iter(second))
    assert videos.begun_batches(2) == "batch_size=5, seed=8"
    next(iter(first))
    expected = "batch_size=4, seed=3 and batch_size=5, seed=8"
    assert videos.begun_batches(2) == expected


def test_repr_counts_classes_and_examples(videos):
    counts = f"train=14, validation={videos.splits['validation']}"
    assert f"2 classes, {counts}" in repr(videos)


def test_evaluation_batches_have_each_video_once_in_order(videos):
    batches = raw(videos, "test", 1)
    assert int(batches.cardinality()) == videos.splits["test"] == 2
    (expected,) = as_arrays(videos.eval_batches("test"))
    joined = [np.concatenate(c) for c in zip(*as_arrays(batches), strict=True)]
    for got, want in zip(joined, expected, strict=False):
        np.testing.assert_array_equal(got, want)


@pytest.fixture
def five(monkeypatch):
    """A data set with five examples for validation."""
    digits = datasets.load("digits_recall")
    examples = tf.data.Dataset.from_tensor_slices((tf.ones((5, 2)), range(5)))
    monkeypatch.setattr(digits, "ordered_examples", lambda split: examples)
    return digits


@pytest.mark.parametrize(("batch", "sizes"), [(1, [1] * 5), (8, [5])])
def test_one_device_gets_no_padding(batch, sizes, five):
    batches = five.batches("validation", batch)
    assert [len(labels) for _, labels in batches] == sizes


@pytest.mark.parametrize(
    ("batch", "sizes"), [(1, [3] * 5), (4, [6, 3]), (6, [6])]
)
def test_devices_share_batches_evenly(batch, sizes, five, monkeypatch):
    monkeypatch.setattr(
        tf.config,
        "list_logical_devices",
        lambda kind: ["a", "b", "c"] if kind == "GPU" else ["d"],
    )
    rows = as_arrays(five.batches("validation", batch))
    assert [len(labels) for _, labels, _ in rows] == sizes
    losses = np.array([2.0, 3.0, 5.0, 7.0, 11.0])
    # As Keras computes the mean loss: batch by batch, with padding.
    means = [(weights * losses[labels]).mean() for _, labels, weights in rows]
    mean = np.average(means, weights=sizes)
    np.testing.assert_allclose(mean, losses.mean(), rtol=1e-6)


def test_generated_clips_come_in_batches_too():
    digits = datasets.load("digits_recall")
    train = digits.batches("train", 100, preprocess=None)
    assert train.cardinality() == 64
    first = next(iter(train))
    (expected,) = digits.train_batches(100, 0, 0, 1)
    np.testing.assert_array_equal(first[0], expected[0])
    batches = digits.batches("validation", 48)
    assert sum(len(labels) for _, labels in batches) == digits.eval_examples
    assert batches.cardinality() == -(-digits.eval_examples // 48)


@pytest.mark.parametrize("mixup, cutmix", [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0)])
def test_mixed_batches_are_those_of_the_training_step(videos, mixup, cutmix):
    mixed = videos.batches(
        "train", BATCH, seed=SEED, preprocess=None, mixup=mixup, cutmix=cutmix
    )
    assert int(mixed.cardinality()) == 4
    videos.set_epoch(1)
    for step, batch in enumerate(as_arrays(mixed), 4):
        ((clips, labels),) = expected_batches(videos, step, step + 1)
        expected = mixing.mixture(
            tf.constant(clips),
            np.eye(2, dtype="float32")[labels],
            (SEED, step),
            mixup,
            cutmix,
        )
        assert_equal([batch], as_arrays([expected]))


def test_labels_are_one_hot_where_asked(videos):
    for split in ("train", "validation"):
        plain = as_arrays(videos.batches(split, BATCH, preprocess=None))
        videos.set_epoch(0)
        one_hot = videos.batches(split, BATCH, preprocess=None, one_hot=True)
        for (pixels, labels), (same, rows) in zip(
            plain, as_arrays(one_hot), strict=True
        ):
            np.testing.assert_array_equal(same, pixels)
            np.testing.assert_array_equal(rows, np.eye(2)[labels])


def test_fit_takes_mixed_clips_and_weights_of_classes(videos):
    model = linear_model(keras.losses.CategoricalCrossentropy(from_logits=True))
    history = model.fit(
        videos.batches("train", BATCH, mixup=0.8, cutmix=1.0),
        validation_data=videos.batches("validation", BATCH, one_hot=True),
        class_weight=videos.class_weights(),
        shuffle=False,
        verbose=0,
    )
    assert np.isfinite(history.history["val_loss"]).all()


def test_weights_of_classes_are_those_of_scikit_learn(videos):
    sklearn = pytest.importorskip("sklearn.utils.class_weight")
    _, labels = zip(*videos.source("train"), strict=True)
    expected = sklearn.compute_class_weight(
        "balanced", classes=np.array([0, 1]), y=labels
    )
    assert videos.class_weights() == pytest.approx(dict(enumerate(expected)))


@pytest.mark.parametrize(
    ("split", "options", "message"),
    [
        ("validation", {"mixup": 0.8}, "one_hot=True"),
        ("train", {"mixup": -1}, "mixup as a number from 0"),
        ("train", {"cutmix": "1"}, "cutmix as a number from 0"),
    ],
)
def test_mixing_is_for_training_and_takes_numbers(
    videos, split, options, message
):
    with pytest.raises(UserError, match=message):
        videos.batches(split, BATCH, **options)


def linear_model(loss=None):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((3, 16, 16, 3)), keras.layers.Flatten()]
    )
    model.add(keras.layers.Dense(2))
    model.compile(
        keras.optimizers.SGD(1e-4),
        loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    return model


def test_epoch_of_fit_is_the_epoch_of_the_batches(videos):
    fitted, stepped = linear_model(), linear_model()
    fitted.fit(
        videos.batches("train", BATCH, seed=SEED),
        validation_data=videos.batches("validation", BATCH),
        epochs=2,
        shuffle=False,
        verbose=0,
    )
    for pixels, labels in expected_batches(videos, 0, 8):
        pixels = (pixels.astype("float32") - 114.75) / 57.375
        stepped.train_on_batch(pixels, labels)
    assert int(fitted.optimizer.iterations) == 8
    for got, want in zip(
        fitted.get_weights(), stepped.get_weights(), strict=True
    ):
        np.testing.assert_allclose(got, want, atol=1e-6)


def test_unreadable_videos_are_replaced(tmp_path, own_cache):
    videos = load_classes(tmp_path)
    train, test = videos.videos("train")[5].path, videos.videos("test")[0].path
    for path in (train, test):
        os.unlink(path)
    whole = [batch[0] for batch in as_arrays(raw(videos, batch=14))]
    assert whole[0].any(axis=(1, 2, 3, 4)).all()
    ((pixels, _),) = as_arrays(raw(videos, "test", 2))
    np.testing.assert_array_equal(pixels[0], pixels[1])
    assert sorted(b.path for b in videos.bad) == sorted([train, test])
    assert videos.splits["test"] == 1
    assert len(as_arrays(raw(videos, "test", 1))) == 1


def test_no_readable_video_raises(tmp_path, own_cache):
    videos = load_classes(tmp_path)
    for video in videos.videos("train"):
        os.unlink(video.path)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="None of 14 examples of train"
    ):
        as_arrays(raw(videos))


def test_several_labels_are_multi_hot(tmp_path, own_cache):
    videos = load(tmp_path, "mmaction2")
    ((_, labels), *_) = as_arrays(videos.batches("train", 2))
    assert labels.dtype == np.float32
    assert sorted(labels.tolist()) == [[0, 1, 0], [1, 0, 1]]
    for options in ({"one_hot": True}, {"cutmix": 1.0}):
        with pytest.raises(UserError, match="one class each"):
            videos.batches("train", 2, **options)
    with pytest.raises(UserError, match="one class each"):
        videos.class_weights()


@pytest.mark.parametrize(
    ("split", "batch", "message"),
    [("training", 4, "Expected one of: train"), ("train", 0, "above 0")],
)
def test_invalid_arguments_raise(split, batch, message, videos):
    with pytest.raises(UserError, match=message):
        videos.batches(split, batch)


class Unlabelled(VideoDataset):
    """Videos whose lists have no labels."""

    description = "for the tests"

    @staticmethod
    def read_lists(data):
        videos = [Video(data.root)]
        return Manifest(("jump",), {"train": videos, "test": videos})


def test_labels_are_needed_except_for_the_test_split(tmp_path, own_cache):
    path = films.write_film(tmp_path / "a.mkv", 9)
    videos = Unlabelled(DataConfig(root=str(path)), SMALL)
    for split in ("train", "validation"):
        with pytest.raises(UserError, match="without labels"):
            videos.batches(split, 1)
    ((_, labels),) = as_arrays(videos.batches("test", 1))
    assert labels.tolist() == [-1]
