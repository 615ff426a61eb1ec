import dataclasses

import pytest

from tests.training.data import fixtures
from tests.training.data.small_datasets import (
    load_classes,
    write_frames,
    write_video,
)
from training import data
from training.data.sampling_config import SamplingConfig
from training.io.user_error import UserError

pytestmark = pytest.mark.usefixtures("own_cache")
SIZES = {"frames": 3, "stride": 2, "size": 16}


def test_arguments_become_settings_of_clips(tmp_path):
    load_classes(tmp_path)
    videos = data.load(
        tmp_path / "data",
        **SIZES,
        fps=12.5,
        short_sides=(17, 19),
        eval_short_side=18,
        flip=False,
        color_jitter=0.25,
        augmentation={"rand_augment": 2, "balanced": True},
        past_end="clamp",
    )
    assert videos.sampling == SamplingConfig(
        frames=3,
        frame_stride=2,
        fps=12.5,
        past_end="clamp",
        min_short_side_px=17,
        max_short_side_px=19,
        crop_px=16,
        flip=False,
        color_jitter=0.25,
        rand_augment=2,
        balanced=True,
        eval_short_side_px=18,
    )
    assert videos.classes == ("jump", "walk slowly")
    assert sum(videos.splits.values()) == 18
    assert videos.element_shape == (3, 16, 16, 3)


def test_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    load_classes(tmp_path)
    assert len(data.load("~/data", **SIZES).classes) == 2


def test_short_sides_scale_with_the_size(tmp_path):
    load_classes(tmp_path)
    videos = data.load(tmp_path / "data", frames=3, stride=2, size=28)
    assert dataclasses.astuple(videos.sampling)[4:7] == (32, 40, 28)
    assert videos.sampling.eval_short_side_px == 32


def test_defaults_are_those_of_the_paper(tmp_path, monkeypatch):
    monkeypatch.setattr(
        data.datasets, "load", lambda name, config, sampling: sampling
    )
    assert data.load(str(tmp_path)) == SamplingConfig()


@pytest.mark.parametrize("name", ["kinetics", "mmaction2", "hmdb51"])
def test_lists_are_read_as_by_a_recipe(name, tmp_path):
    config = fixtures.make(name, tmp_path, write_video, write_frames)
    videos = data.load(
        config.root,
        dataset=name,
        train=config.train,
        validation=config.validation,
        test=config.test,
        classes=config.classes,
        split=config.split,
        **SIZES,
    )
    recipe = data.datasets.load(name, config, videos.sampling)
    assert videos.fingerprint() == recipe.fingerprint()


def test_auto_stride_spans_the_training_videos(tmp_path):
    load_classes(tmp_path)  # videos of 5 to 11 frames
    videos = data.load(tmp_path / "data", frames=3, stride="auto", size=16)
    assert 2 <= videos.sampling.stride <= 5


def test_generated_clips_take_no_other_argument():
    videos = data.load(dataset="digits_recall")
    assert len(videos.classes) == 10 and videos.sampling is None
    with pytest.raises(UserError, match="takes no argument"):
        data.load(dataset="digits_recall", frames=16)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dataset": "kinetic"}, UserError, "Did you mean 'kinetics'"),
        ({"decode": "pyav"}, TypeError, "Did you mean 'decoder'"),
        ({"root": "digits_recall"}, UserError, "mean dataset='digits_recall'"),
        ({"root": "no folder"}, UserError, "Received: 'no folder'"),
        ({}, UserError, "Expected root"),
        ({"stride": 2.5}, UserError, "stride as an integer above 0"),
        ({"short_sides": 256}, UserError, "Received: 256"),
        ({"short_sides": (160, 240)}, UserError, "from size=224"),
        ({"frames": 0}, UserError, "frames as an integer above 0"),
        ({"root": None}, UserError, "Expected root as the path"),
        ({"fps": "25"}, UserError, "fps as a number"),
        ({"augmentation": {"rand": 2}}, TypeError, "augmentation"),
        ({"color_jitter": None}, UserError, "color_jitter as a number"),
        ({"size": 22.4}, UserError, "Received: 22.4"),
        ({"flip": "no"}, UserError, "flip as True or False"),
    ],
)
def test_invalid_arguments_raise(arguments, error, message):
    with pytest.raises(error, match=message):
        data.load(**arguments)
