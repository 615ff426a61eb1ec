"""Unreadable videos are left out, counted and listed."""

import itertools
import os

import pytest

from tests.training.data.small_datasets import (
    SMALL,
    as_arrays,
    load,
    load_classes,
    reload,
    write_video,
)
from training.data import datasets
from training.data.data_config import DataConfig
from training.io.user_error import UserError

pytestmark = pytest.mark.usefixtures("own_cache")


def spoil(dataset, count):
    """Makes videos of a data set bad, each in another way."""
    kinds = itertools.cycle([b"", b"no video at all", None])
    paths = sorted({v.path for v in dataset.videos("train")})[:count]
    for path, content in zip(paths, kinds, strict=False):
        if content is None:
            os.unlink(path)
        else:
            with open(path, "wb") as file:
                file.write(content)
    return paths


def test_bad_videos_are_left_out_counted_and_listed(tmp_path):
    before = load_classes(tmp_path)
    train = len(before.videos("train"))
    paths = spoil(before, 3)
    paths = [path for path in paths if os.path.exists(path)]  # is not listed
    after = reload(before, tmp_path, max_bad_share=0.2)
    assert [b.path for b in after.bad] == paths
    assert [b.reason for b in after.bad] == [
        "the file is empty",
        "it cannot be read as a video: Invalid data found when processing "
        "input",
    ]
    assert len(after.videos("train")) == train - 3
    listed, bad = after.counts()["train"]
    assert listed - bad == len(after.videos("train"))


def test_listed_videos_include_bad_ones(tmp_path):
    before = load_classes(tmp_path)
    paths = [video.path for video in before.videos("test")]
    open(paths[1], "wb").close()
    after = reload(before, tmp_path, max_bad_share=0.2)
    listed, places = after.listed_videos("test")
    assert [video.path for video in listed] == paths
    assert places == [i for i in range(len(paths)) if i != 1]
    assert [listed[i] for i in places] == after.videos("test")


def test_training_stops_if_too_many_are_bad(tmp_path):
    before = load_classes(tmp_path)
    spoil(before, 2)
    message = r"2 of 18 videos .* more than data.max_bad_share=0.05.*is empty"
    with pytest.raises(UserError, match=message):
        reload(before, tmp_path)


def test_video_that_fails_later_has_weight_zero(tmp_path):
    dataset = load_classes(tmp_path)
    (path,) = spoil(dataset, 1)
    steps = len(dataset.videos("train"))
    batches = as_arrays(dataset.train_batches(1, 3, 0, steps))
    weights = [float(weight[0]) for _, _, weight in batches]
    assert sorted(weights) == [0.0] + [1.0] * (steps - 1)
    assert not batches[weights.index(0.0)][0].any()
    assert [(b.path, b.split) for b in dataset.bad] == [(path, "train")]


def test_no_readable_video_raises(tmp_path):
    before = load_classes(tmp_path)
    spoil(before, 99)
    with pytest.raises(UserError, match="no video to train on"):
        reload(before, tmp_path, max_bad_share=1.0)


def test_bad_video_that_is_listed_twice_counts_twice(tmp_path):
    write_video(tmp_path / "good.mp4")
    (tmp_path / "bad.mp4").write_bytes(b"")
    lines = ["good.mp4 0", "bad.mp4 1", "good.mp4 1", "bad.mp4 0"]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    listed = str(tmp_path / "list.csv")
    data = DataConfig(str(tmp_path), listed, listed, max_bad_share=0.5)
    dataset = datasets.load("slowfast", data, SMALL)
    assert dataset.counts() == {"train": (4, 2), "validation": (4, 2)}


def test_bad_share_out_of_range_raises(tmp_path):
    with pytest.raises(UserError, match="from 0 to 1. Received: 20.0"):
        load(tmp_path, max_bad_share=20.0)
