"""Clips of listed videos: the same ones every time, and none lost."""

import dataclasses
import itertools
import math
import os

import numpy as np
import pytest
import tensorflow as tf

from tests.training.data import films, fixtures
from tests.training.data.small_datasets import (
    SMALL,
    as_arrays,
    assert_equal,
    load,
    load_classes,
    reload,
    write_frames,
    write_video,
)
from training.data import DATASETS, datasets, transforms, video_index
from training.data.data_config import DataConfig
from training.data.manifest import Manifest, Span, Video
from training.data.sampling_config import ViewsConfig
from training.data.video_dataset import VideoDataset
from training.io.user_error import UserError

pytestmark = pytest.mark.usefixtures("own_cache")
VIEWS = ViewsConfig(clips=2, crops=3, short_side_px=20, crop_px=18)
FORMATS = sorted(
    name for name, cls in DATASETS.items() if issubclass(cls, VideoDataset)
)


@pytest.fixture
def dataset(tmp_path):
    return load(tmp_path)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_clips_and_loses_none(name, tmp_path):
    dataset = load(tmp_path, name)
    assert dataset.bad == []
    for split, (listed, bad) in dataset.counts().items():
        assert len(dataset.videos(split)) + bad == listed or split == "train"
    train = as_arrays(dataset.train_batches(2, 0, 0, 3))
    assert [b[0].shape for b in train] == [(2, 3, 16, 16, 3)] * 3
    assert all((b[2] == 1).all() for b in train)
    shown = sum(len(b[0]) for b in dataset.eval_batches("test"))
    assert shown == dataset.eval_examples == len(dataset.videos("test"))


def test_one_seed_gives_the_same_batches(dataset):
    first = as_arrays(dataset.train_batches(3, 7, 0, 4))
    assert_equal(first, as_arrays(dataset.train_batches(3, 7, 0, 4)))


def test_another_seed_gives_others(dataset):
    first = as_arrays(dataset.train_batches(3, 7, 0, 4))
    second = as_arrays(dataset.train_batches(3, 8, 0, 4))
    assert any((a[0] != b[0]).any() for a, b in zip(first, second, strict=True))


def test_a_run_can_start_in_the_middle_of_an_epoch(dataset):
    whole = as_arrays(dataset.train_batches(3, 7, 0, 5))
    assert_equal(whole[2:], as_arrays(dataset.train_batches(3, 7, 2, 5)))


def test_workers_read_the_parts_of_a_batch(dataset):
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


def test_a_validation_clip_is_the_middle_of_the_middle(dataset):
    (batch,) = as_arrays(dataset.eval_batches("test"))
    for pixels, video in zip(batch[0], dataset.videos("test"), strict=True):
        index = video_index.index_video(video.path)
        start = max(index.frames - 6, 0) // 2
        numbers = [(start + 2 * k) % index.frames for k in range(3)]
        frames = films.decode_all(video.path)[numbers]
        window = transforms.crop_windows(*films.SIZE, 20, 16, 1).numpy()
        resampler = transforms.Resampler(*films.SIZE, window, (16, 16))
        expected = np.stack([resampler(frame)[0] for frame in frames])
        np.testing.assert_array_equal(pixels, expected)


def test_views_are_clips_by_crops(dataset):
    for pixels, label, weight, index in dataset.view_batches("test", VIEWS):
        video = dataset.videos("test")[int(index)]
        assert (int(label), float(weight)) == (video.labels[0], 1.0)
        frames = video_index.index_video(video.path).frames
        windows = transforms.crop_windows(*films.SIZE, 20, 18, 3).numpy()
        resampler = transforms.Resampler(*films.SIZE, windows, (18, 18))
        truth = films.decode_all(video.path)
        for (clip, crop), view in zip(
            itertools.product(range(2), range(3)), pixels, strict=True
        ):
            start = int(frames / 2 * clip)
            numbers = [(start + 2 * k) % frames for k in range(3)]
            expected = [resampler(truth[n])[crop] for n in numbers]
            np.testing.assert_array_equal(view, np.stack(expected))


def test_views_of_whole_frames(dataset):
    views = dataclasses.replace(VIEWS, crops=0)
    for pixels, *_ in dataset.view_batches("test", views):
        assert pixels.shape == (2, 3, 20, 29, 3)  # 52 * 20 / 36 = 28.9


def test_views_from_a_video_on(tmp_path):
    dataset = load_classes(tmp_path)
    whole = as_arrays(dataset.view_batches("test", VIEWS))
    assert_equal(as_arrays(dataset.view_batches("test", VIEWS, 1)), whole[1:])


def test_views_that_do_not_fit_are_said(dataset):
    with pytest.raises(UserError, match="1, 3, or 0"):
        dataset.view_batches("test", dataclasses.replace(VIEWS, crops=2))


def test_an_example_is_one_of_the_evaluation(tmp_path):
    dataset = load_classes(tmp_path)
    (batch,) = as_arrays(dataset.eval_batches("test"))
    example = dataset.example("test", 1)
    np.testing.assert_array_equal(example.pixels, batch[0][1])
    assert example.label == batch[1][1]
    with pytest.raises(UserError, match="sample from 0 to"):
        dataset.example("test", 99)


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


def test_a_list_has_its_bad_videos_too(tmp_path):
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


def test_a_video_that_goes_bad_later_weighs_nothing(tmp_path):
    dataset = load_classes(tmp_path)
    (path,) = spoil(dataset, 1)
    steps = len(dataset.videos("train"))
    batches = as_arrays(dataset.train_batches(1, 3, 0, steps))
    weights = [float(weight[0]) for _, _, weight in batches]
    assert sorted(weights) == [0.0] + [1.0] * (steps - 1)
    assert not batches[weights.index(0.0)][0].any()
    assert [(b.path, b.split) for b in dataset.bad] == [(path, "train")]


def test_a_data_set_without_a_good_video_is_said(tmp_path):
    before = load_classes(tmp_path)
    spoil(before, 99)
    with pytest.raises(UserError, match="no video to train on"):
        reload(before, tmp_path, max_bad_share=1.0)


def test_a_bad_video_that_is_listed_twice_counts_twice(tmp_path):
    write_video(tmp_path / "good.mp4")
    (tmp_path / "bad.mp4").write_bytes(b"")
    lines = ["good.mp4 0", "bad.mp4 1", "good.mp4 1", "bad.mp4 0"]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    listed = str(tmp_path / "list.csv")
    data = DataConfig(str(tmp_path), listed, listed, max_bad_share=0.5)
    dataset = datasets.load("slowfast", data, SMALL)
    assert dataset.counts() == {"train": (4, 2), "validation": (4, 2)}


def test_settings_out_of_range_are_said(tmp_path):
    with pytest.raises(UserError, match="from 0 to 1. Received: 20.0"):
        load(tmp_path, max_bad_share=20.0)


def test_a_fingerprint_tells_data_sets_apart(tmp_path):
    one = load(tmp_path)
    again = reload(one, tmp_path)
    assert one.fingerprint() == again.fingerprint()
    write_video(tmp_path / "data" / "train" / "jump" / "more.mp4")
    assert reload(one, tmp_path).fingerprint() != one.fingerprint()


class Spans(VideoDataset):
    """One video of 40 frames at 25 a second, with actions in it."""

    description = "for the tests"

    @staticmethod
    def read_lists(data):
        spans = (Span(1, 0.0, 0.3), Span(1, 1.3, 1.4), Span(3, 0.9, 1.0))
        video = Video(data.root, (0, 1, 3), spans)
        empty = Video(data.root)
        splits = {"train": [video], "test": [video, empty]}
        return Manifest(tuple("abcd"), splits, multi_label=True)


def test_training_labels_are_those_of_the_clip(tmp_path):
    path = films.write_film(tmp_path / "a.mkv", 40)
    dataset = Spans(DataConfig(root=str(path)), SMALL)
    batches = as_arrays(dataset.train_batches(1, 0, 0, 120))
    seen = {tuple(label[0].astype(int)) for _, label, _ in batches}
    # Clips of frames s, s + 2, s + 4: class 0 always, 1 while s / 25 <= 0.3 or
    # the clip meets 1.3 to 1.4, 3 around 0.9 to 1.0.
    expected = set()
    for start in range(35):
        first, last = start / 25, (start + 4) / 25
        one = first <= 0.3 or (first <= 1.4 and last >= 1.3)
        three = first <= 1.0 and last >= 0.9
        expected.add((1, int(one), 0, int(three)))
    assert seen == expected


def test_test_labels_are_those_of_the_video(tmp_path):
    path = films.write_film(tmp_path / "a.mkv", 40)
    dataset = Spans(DataConfig(root=str(path)), SMALL)
    (batch,) = as_arrays(dataset.eval_batches("test"))
    assert batch[1].tolist() == [[1, 1, 0, 1], [0, 0, 0, 0]]


def distance(one, other):
    return math.sqrt(((one.astype(float) - other) ** 2).mean())


def test_frame_folders_and_films_give_the_same_clips(tmp_path):
    # A fast inverse transform of JPEGs is off by some levels; another frame,
    # or a window a pixel beside, by many more.
    truth = films.pictures(9)
    films.write_film(tmp_path / "a.mkv", truth, codec="ffv1", pix_fmt="bgr0")
    write_frames(tmp_path / "frames", "{:03}.jpg", 0, 9)

    class Both(VideoDataset):
        description = "for the tests"

        @staticmethod
        def read_lists(data):
            video = Video(data.root, (0,), frame_name="{:03}.jpg")
            video = dataclasses.replace(video, first_frame=0)
            return Manifest(("a",), {"train": [video], "test": [video]})

    class Frames(Both):
        source = "frames"

    film = Both(DataConfig(root=str(tmp_path / "a.mkv")), SMALL)
    frames = Frames(DataConfig(root=str(tmp_path / "frames")), SMALL)
    for made in ("train_batches", "eval_batches"):
        arguments = (2, 0, 0, 5) if made == "train_batches" else ("test",)
        one = as_arrays(getattr(film, made)(*arguments))
        other = as_arrays(getattr(frames, made)(*arguments))
        for a, b in zip(one, other, strict=True):
            assert distance(a[0], b[0]) < 4
            assert distance(a[0], np.roll(b[0], 1, axis=1)) > 8
            assert distance(a[0], np.roll(b[0], 1, axis=3)) > 8
            np.testing.assert_array_equal(a[1], b[1])


def test_frame_folders_go_through_a_service(tmp_path):
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer()
    address = dispatcher.target
    worker = service.WorkerServer(
        service.WorkerConfig(dispatcher_address=address.split("://")[1])
    )
    alone = load(tmp_path, "mmaction2_frames")
    data = fixtures.make(
        "mmaction2_frames", tmp_path / "data", write_video, write_frames
    )
    served = datasets.load(
        "mmaction2_frames", dataclasses.replace(data, service=address), SMALL
    )
    batches = served.train_batches(2, 7, 1, 4)
    assert int(batches.cardinality()) == 3
    expected = as_arrays(alone.train_batches(2, 7, 1, 4))
    got = as_arrays(batches)

    def by_content(batch):
        return batch[0].tobytes()

    assert_equal(sorted(got, key=by_content), sorted(expected, key=by_content))
    del worker


def test_films_do_not_go_through_a_service(tmp_path):
    with pytest.raises(UserError, match="cannot decode video files"):
        load(tmp_path, service="grpc://localhost:1")


def test_classes_without_a_video_in_a_split_are_named(dataset):
    first, second = dataset.overview().splitlines()  # validation has both
    assert first.startswith("2 classes; videos: ")
    assert second == "Without a video in test: jump."
