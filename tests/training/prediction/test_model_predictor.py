"""Prediction with a Keras model, against evaluation."""

import copy

import numpy as np
import pytest

import nonlocal_tf as nl
from tests.training.clip_models import listed_videos, pooled
from training import evaluation
from training.data.sampling_config import SamplingConfig, ViewsConfig
from training.data.video_limits import Limits
from training.io.user_error import UserError

VIDEOS = [("train", 0, 5)] + [("test", k, 5 + k) for k in range(3)]
VIEWS = ViewsConfig(3, 1, short_side_px=31, crop_px=27)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    with listed_videos(tmp_path_factory, VIDEOS) as videos:
        yield videos


@pytest.fixture(scope="module")
def model():
    return pooled()


@pytest.mark.parametrize("views", [None, VIEWS])
def test_predictions_are_the_scores_of_an_evaluation(videos, model, views):
    videos, paths = videos
    results = nl.predict(model, paths, videos=videos, views=views)
    scored = evaluation.evaluate(model, videos, views=views).scores
    for result, scores in zip(results, scored.scores, strict=True):
        expected = dict(zip(videos.classes, scores.mean(0), strict=True))
        assert result == pytest.approx(expected, abs=1e-6)
        assert list(result) == sorted(expected, key=expected.get)[::-1]


def test_one_video_gives_one_dictionary(videos, model):
    videos, paths = videos
    several = nl.predict(model, [paths[1], paths[1]], videos=videos)
    assert nl.predict(model, paths[1], videos=videos) == several[0]
    assert several[1] == several[0]


def test_folder_gives_its_videos(videos, model, tmp_path):
    videos, paths = videos
    (tmp_path / paths[2].name).write_bytes(paths[2].read_bytes())
    results = nl.predict(model, tmp_path, videos=videos)
    assert results == nl.predict(model, [paths[2]], videos=videos)


def test_classes_and_sampling_stand_for_a_data_set(videos, model):
    videos, paths = videos
    result = nl.predict(
        model, paths[0], classes=videos.classes, sampling=videos.sampling
    )
    assert result == nl.predict(model, paths[0], videos=videos)


def test_string_is_not_taken_as_classes(model):
    with pytest.raises(TypeError, match="sequence of names"):
        nl.predict(model, "a.mp4", classes="abcdefg", sampling=SamplingConfig())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Give videos="),
        (
            {"classes": ["a", "b", "a"], "sampling": SamplingConfig()},
            "each class once",
        ),
        ({"classes": ["a", "b"]}, "Give videos="),
        (
            {"classes": ["a", "b"], "sampling": SamplingConfig()},
            "each of the 2 classes",
        ),
    ],
)
def test_unknown_classes_or_clips_are_an_error(model, arguments, message):
    with pytest.raises(UserError, match=message):
        nl.predict(model, "a.mp4", **arguments)


def test_unreadable_video_is_an_error_or_a_warning(videos, model, tmp_path):
    videos, paths = videos
    bad = tmp_path / "bad.mkv"
    bad.touch()
    with pytest.raises(UserError, match=r"bad\.mkv: the file is empty"):
        nl.predict(model, bad, videos=videos)
    with pytest.warns(UserWarning, match=r"bad\.mkv"):
        results = nl.predict(model, [bad, paths[0]], videos=videos)
    assert results == [{}, nl.predict(model, paths[0], videos=videos)]


def test_limits_are_those_of_the_data_set(videos, model):
    videos, paths = videos
    small = copy.copy(videos)
    small.limits = Limits(max_frames=4)
    with pytest.raises(UserError, match="max_frames=4"):
        nl.predict(model, paths[0], videos=small)


def test_saved_models_know_their_classes(tiny, tmp_path):
    clip = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), "uint8")
    np.save(tmp_path / "clip.npy", clip)
    of_run, of_export = (
        nl.predict(path, tmp_path / "clip.npy") for path in tiny[:2]
    )
    assert sorted(of_export) == list("0123456789")
    assert of_export == pytest.approx(of_run, abs=2e-4)
    with pytest.raises(UserError, match="for a Keras model"):
        nl.predict(tiny[1], tmp_path / "clip.npy", classes=["a"])
    with pytest.raises(UserError, match="views expects a model of videos"):
        nl.predict(tiny[1], tmp_path / "clip.npy", views="10x3")


@pytest.mark.parametrize("inputs", [None, np.zeros((3, 8, 8, 3), "uint8")])
def test_inputs_are_paths(videos, model, inputs):
    with pytest.raises(TypeError, match="path of a video"):
        nl.predict(model, inputs, videos=videos[0])
