"""Notes on lists: the same film twice, and other mistakes."""

import os

from tests.training.data.fixtures import read, touch, write
from training.data import manifest_warnings
from training.data.data_config import DataConfig
from training.data.manifest import Manifest, Span, Video


def notes(tmp_path, name="slowfast", **lists):
    paths = {
        split: write(tmp_path / f"{split}.csv", *lines)
        for split, lines in lists.items()
    }
    data = DataConfig(root=str(tmp_path), **paths)
    return [
        note.replace(f"{tmp_path}/", "")
        for note in manifest_warnings.notes(read(name, data))
    ]


def test_valid_list_has_no_warnings(tmp_path):
    assert not notes(
        tmp_path, train=["a.mp4 0", "b.mp4 1"], validation=["c.mp4 1"]
    )


def test_two_labels_of_a_video_are_reported(tmp_path):
    lines = notes(tmp_path, train=["a.mp4 0", "b.mp4 1", "./a.mp4 1"])
    assert lines == [
        "1 video listed again with different labels: a.mp4 = ./a.mp4 (0, 1)",
        "1 video listed more than once in train: a.mp4 (2 times)",
    ]


def test_two_labels_in_two_lists_are_reported(tmp_path):
    lines = notes(
        tmp_path, train=["a.mp4 0", "b.mp4 1"], validation=["a.mp4 1"]
    )
    assert lines == [
        "1 video listed again with different labels: a.mp4 (0, 1)",
        "1 video of validation also in train: a.mp4",
    ]


def test_links_are_the_same_video(tmp_path):
    touch(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").symlink_to("a.mp4")
    os.link(tmp_path / "a.mp4", tmp_path / "c.mp4")
    lines = notes(tmp_path, train=["a.mp4 0"], test=["b.mp4 0", "c.mp4 0"])
    assert lines == [
        "1 video listed more than once in test: b.mp4 (2 times)",
        "1 video of test also in train: c.mp4 = a.mp4",
    ]


def test_parts_of_a_folder_are_several_videos(tmp_path):
    name = "mmaction2_frames_offset"
    assert not notes(tmp_path, name, train=["d 0 3 0", "d 3 5 1"])


def test_records_of_a_shard_are_several_videos():
    videos = [Video("s", (0,), offset=0), Video("s", (1,), offset=70)]
    assert not manifest_warnings.notes(Manifest(("a", "b"), {"train": videos}))


def test_video_may_have_several_labels(tmp_path):
    spans = Span(0, 0.0, 1.0), Span(1, 2.0, 3.0)
    videos = [Video("a.mp4", (0, 1), spans)]
    assert not manifest_warnings.notes(Manifest(("a", "b"), {"train": videos}))


def test_labels_from_one_are_reported(tmp_path):
    lines = notes(tmp_path, train=["a.mp4 1", "b.mp4 2"])
    assert lines == [
        "no video has the label 0; labels count from 0 to 2. If those of the "
        "lists count from 1, subtract 1 from all"
    ]


def test_long_lists_are_abbreviated(tmp_path):
    lines = [f"{number}.mp4 0" for number in range(5)]
    (note,) = notes(tmp_path, train=lines, test=lines)
    assert note == (
        "5 videos of test also in train: 0.mp4; 1.mp4; 2.mp4; and 2 more"
    )


def test_videos_shared_by_splits_are_reported(tmp_path):
    lines = notes(
        tmp_path,
        train=["a.mp4 0", "b.mp4 1"],
        validation=["c.mp4 1"],
        test=["./c.mp4 1"],
    )
    assert lines == ["1 video of test also in validation: ./c.mp4 = c.mp4"]
