"""Views of evaluation, against frames of a full decoding."""

import dataclasses
import itertools

import numpy as np
import pytest

from tests.training.data import films
from tests.training.data.small_datasets import (
    as_arrays,
    assert_equal,
    load,
    load_classes,
)
from training.data import transforms, video_index
from training.data.sampling_config import ViewsConfig
from training.io.user_error import UserError

pytestmark = pytest.mark.usefixtures("own_cache")
VIEWS = ViewsConfig(clips=2, crops=3, short_side_px=20, crop_px=18)


@pytest.fixture
def dataset(tmp_path):
    return load(tmp_path)


def test_validation_clip_is_the_centre(dataset):
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


def test_views_start_at_a_video(tmp_path):
    dataset = load_classes(tmp_path)
    whole = as_arrays(dataset.view_batches("test", VIEWS))
    assert_equal(as_arrays(dataset.view_batches("test", VIEWS, 1)), whole[1:])


def test_invalid_views_raise(dataset):
    with pytest.raises(UserError, match="1, 3, or 0"):
        dataset.view_batches("test", dataclasses.replace(VIEWS, crops=2))


def test_example_equals_the_evaluated_one(tmp_path):
    dataset = load_classes(tmp_path)
    (batch,) = as_arrays(dataset.eval_batches("test"))
    example = dataset.example("test", 1)
    np.testing.assert_array_equal(example.pixels, batch[0][1])
    assert example.label == batch[1][1]
    with pytest.raises(UserError, match="sample from 0 to"):
        dataset.example("test", 99)
