"""Properties of all registered formats."""

import os

import pytest

from tests.training.data import fixtures
from training.data import DATASETS
from training.data.data_config import SPLITS, DataConfig
from training.data.video_dataset import VideoDataset
from training.io.user_error import UserError

FORMATS = sorted(
    name for name, cls in DATASETS.items() if issubclass(cls, VideoDataset)
)


def test_each_format_has_a_fixture():
    assert sorted(fixtures.FIXTURES) == FORMATS


@pytest.mark.parametrize("name", FORMATS)
def test_fixture_has_splits_and_labels_of_its_classes(name, tmp_path):
    listing = fixtures.read(name, fixtures.make(name, tmp_path))
    assert listing.splits["train"] and len(listing.splits) >= 2
    assert set(listing.splits) <= set(SPLITS)
    for videos in listing.splits.values():
        for video in videos:
            assert all(0 <= k < len(listing.classes) for k in video.labels)
            assert {span.label for span in video.spans} <= set(video.labels)


@pytest.mark.parametrize(
    "name", [n for n in FORMATS if DATASETS[n].storage != "records"]
)
def test_paths_of_a_fixture_are_those_written(name, tmp_path):
    written = set()

    def write_video(path):
        fixtures.touch(path)
        written.add(str(path))

    def write_frames(folder, template, first, count):
        fixtures.touch_frames(folder, template, first, count)
        written.add(str(folder))

    data = fixtures.make(name, tmp_path, write_video, write_frames)
    listing = fixtures.read(name, data)
    paths = [v.path for videos in listing.splits.values() for v in videos]
    assert paths and all(os.path.exists(path) for path in paths)
    assert set(paths) <= written


@pytest.mark.parametrize("name", FORMATS)
def test_frames_of_a_fixture_exist(name, tmp_path):
    listing = fixtures.read(name, fixtures.make(name, tmp_path))
    for videos in listing.splits.values():
        for video in videos:
            if DATASETS[name].storage == "frames":
                last = video.first_frame + (video.frames or 1) - 1
                for number in (video.first_frame, last):
                    frame = video.frame_name.format(number)
                    assert os.path.exists(f"{video.path}/{frame}")


@pytest.mark.parametrize("name", FORMATS)
def test_description_is_one_line(name):
    assert 10 < len(DATASETS[name].description) < 70


@pytest.mark.parametrize("name", FORMATS)
def test_missing_setting_is_named(name):
    with pytest.raises(UserError, match=r"Expected .*data\.(root|classes|tr)"):
        fixtures.read(name, DataConfig())
