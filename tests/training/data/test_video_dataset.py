"""Clips of listed videos: the same ones every time, and none lost."""

import dataclasses

import numpy as np
import pytest

from tests.training.data import films
from tests.training.data.small_datasets import (
    SMALL,
    as_arrays,
    assert_equal,
    load,
    reload,
    write_video,
)
from training.data import DATASETS
from training.data.data_config import DataConfig
from training.data.manifest import Manifest, Video
from training.data.video_dataset import VideoDataset
from training.io.user_error import UserError

pytestmark = pytest.mark.usefixtures("own_cache")
FORMATS = sorted(
    name for name, cls in DATASETS.items() if issubclass(cls, VideoDataset)
)


@pytest.fixture
def dataset(tmp_path):
    return load(tmp_path)


@pytest.mark.parametrize("name", FORMATS)
def test_all_formats_give_clips(name, tmp_path):
    dataset = load(tmp_path, name)
    assert dataset.bad == []
    for split, (listed, bad) in dataset.counts().items():
        assert len(dataset.videos(split)) + bad == listed or split == "train"
    train = as_arrays(dataset.train_batches(2, 0, 0, 3))
    assert [b[0].shape for b in train] == [(2, 3, 16, 16, 3)] * 3
    assert all((b[2] == 1).all() for b in train)
    count = sum(len(b[0]) for b in dataset.eval_batches("test"))
    assert count == dataset.eval_examples == len(dataset.videos("test"))


def test_one_seed_gives_the_same_batches(dataset):
    first = as_arrays(dataset.train_batches(3, 7, 0, 4))
    assert_equal(first, as_arrays(dataset.train_batches(3, 7, 0, 4)))


def test_other_seed_gives_other_batches(dataset):
    first = as_arrays(dataset.train_batches(3, 7, 0, 4))
    second = as_arrays(dataset.train_batches(3, 8, 0, 4))
    assert any((a[0] != b[0]).any() for a, b in zip(first, second, strict=True))


def test_run_can_start_in_the_middle_of_an_epoch(dataset):
    whole = as_arrays(dataset.train_batches(3, 7, 0, 5))
    assert_equal(whole[2:], as_arrays(dataset.train_batches(3, 7, 2, 5)))


def test_workers_read_their_shares_of_a_batch(tmp_path):
    load(tmp_path)
    sampling = dataclasses.replace(
        SMALL, repeats=2, time_jitter=0.5, reversal=0.5
    )
    root = str(tmp_path / "data")
    dataset = DATASETS["folder"].load(DataConfig(root=root), sampling)
    whole = as_arrays(dataset.train_batches(4, 7, 1, 3))
    parts = [
        as_arrays(dataset.train_batches(4, 7, 1, 3, worker, 2))
        for worker in (0, 1)
    ]
    joined = [
        [np.concatenate(pair) for pair in zip(*batches, strict=True)]
        for batches in zip(*parts, strict=True)
    ]
    assert_equal(whole, joined)


def test_repeated_videos_are_in_one_batch():
    sampling = dataclasses.replace(SMALL, repeats=3)
    sampling.check_batch(12)
    with pytest.raises(UserError, match="multiple of 6.*Received: 9"):
        sampling.check_batch(9)


def test_cardinality_is_known_and_batches_are_even(dataset):
    batches = dataset.train_batches(3, 7, 2, 9)
    assert int(batches.cardinality()) == 7
    assert {len(batch[0]) for batch in batches} == {3}


class Numbered(VideoDataset):
    """Videos of one frame whose grey value is their label."""

    description = "for the tests"
    count = 7

    @staticmethod
    def read_lists(data):
        videos = []
        for number in range(Numbered.count):
            path = f"{data.root}/{number}.mkv"
            grey = np.full((1, 24, 24, 3), 30 * number, np.uint8)
            films.write_film(path, grey, codec="ffv1", pix_fmt="bgr0")
            videos.append(Video(path, (number,)))
        names = tuple("abcdefg")
        return Manifest(names, {"train": videos, "test": videos})


def test_every_epoch_has_each_video_once_in_another_order(tmp_path):
    dataset = Numbered.load(DataConfig(root=str(tmp_path)), SMALL)
    batches = as_arrays(dataset.train_batches(1, 5, 0, 4 * 7))
    labels = [int(label[0]) for _, label, _ in batches]
    epochs = [labels[i : i + 7] for i in range(0, 28, 7)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    for pixels, label, _ in batches:
        assert (pixels == 30 * label[0]).all()


def test_evaluation_keeps_the_order_of_the_list(tmp_path):
    dataset = Numbered.load(DataConfig(root=str(tmp_path)), SMALL)
    (batch,) = as_arrays(dataset.eval_batches("test"))
    assert batch[1].tolist() == list(range(7))
    assert batch[0][:, 0, 0, 0, 0].tolist() == [30 * k for k in range(7)]


def test_fingerprint_tells_data_sets_apart(tmp_path):
    dataset = load(tmp_path)
    again = reload(dataset, tmp_path)
    assert dataset.fingerprint() == again.fingerprint()
    write_video(tmp_path / "data" / "train" / "jump" / "more.mp4")
    assert reload(dataset, tmp_path).fingerprint() != dataset.fingerprint()


def test_classes_without_a_video_in_a_split_are_named(dataset):
    first, second = dataset.overview().splitlines()  # validation has both
    assert first.startswith("2 classes; videos: ")
    assert second == "Without a video in test: jump."
