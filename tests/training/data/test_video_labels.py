"""Labels of clips and of whole videos."""

import pytest

from tests.training.data import films
from tests.training.data.small_datasets import (
    SMALL,
    as_arrays,
)
from training.data.data_config import DataConfig
from training.data.manifest import Manifest, Span, Video
from training.data.video_dataset import VideoDataset

pytestmark = pytest.mark.usefixtures("own_cache")


class Spans(VideoDataset):
    """One video of 40 frames at 25 per second, with labels in time."""

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
    label_sets = {tuple(label[0].astype(int)) for _, label, _ in batches}
    # Clips of frames s, s + 2, s + 4: class 0 always, 1 while s / 25 <= 0.3 or
    # the clip meets 1.3 to 1.4, 3 around 0.9 to 1.0.
    expected = set()
    for start in range(35):
        first, last = start / 25, (start + 4) / 25
        is_one = first <= 0.3 or (first <= 1.4 and last >= 1.3)
        is_three = first <= 1.0 and last >= 0.9
        expected.add((1, int(is_one), 0, int(is_three)))
    assert label_sets == expected


def test_test_labels_are_those_of_the_video(tmp_path):
    path = films.write_film(tmp_path / "a.mkv", 40)
    dataset = Spans(DataConfig(root=str(path)), SMALL)
    (batch,) = as_arrays(dataset.eval_batches("test"))
    assert batch[1].tolist() == [[1, 1, 0, 1], [0, 0, 0, 0]]
