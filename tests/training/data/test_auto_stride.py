"""The frame stride that is chosen for some lengths of videos."""

import dataclasses
import json

import pytest

from tests.training.data import films
from training import train
from training.data import auto_stride, dataset_of
from training.data.sources import Probe
from training.io.user_error import UserError
from training.recipes import get_recipe
from training.recipes.schema import AUTO, DataConfig, SamplingConfig
from training.runs.run_folder import RunFolder

SIXTEEN = SamplingConfig(frames=16, frame_stride=AUTO)


def chosen(videos, sampling=SIXTEEN):
    """(stride, rate) for videos of some (frames, rate)."""
    probes = [Probe(frames, 36, 52, fps) for frames, fps in videos]
    found = auto_stride.for_videos(probes, sampling)
    return found.frame_stride, found.fps


@pytest.mark.parametrize(
    ("frames", "stride"),
    [
        (60, 3),  # 46 of 60 frames
        (61, 4),  # the first and the last
        (31, 2),
        (30, 1),
        (16, 1),
        (5, 1),  # shorter than a clip
        (1, 1),
    ],
)
def test_a_clip_is_as_long_as_the_videos(frames, stride):
    assert chosen([(frames, 25.0)] * 3) == (stride, None)


def test_the_median_length_counts():
    assert chosen([(20, 25.0), (76, 25.0), (4000, 25.0)]) == (5, None)


def test_long_videos_leave_two_frames_a_second():
    assert chosen([(9000, 25.0)]) == (12, None)
    assert chosen([(9000, 60.0)]) == (30, None)
    assert chosen([(9000, 1.0)]) == (1, None)


def test_different_rates_count_at_the_median_rate():
    videos = [(60, 25.0), (60, 25.0), (144, 60.0)]  # all of 2.4 s
    assert chosen(videos) == (3, 25.0)


def test_nearly_equal_rates_are_one():
    assert chosen([(60, 30.0), (60, 29.97)]) == (3, None)


def test_a_given_rate_stays():
    given = SamplingConfig(frames=16, frame_stride=AUTO, fps=10.0)
    assert chosen([(150, 25.0), (150, 25.0)], given) == (3, 10.0)


def test_unknown_rates_count_frames():
    assert chosen([(60, 0.0), (61, 0.0)]) == (3, None)
    assert chosen([(900, 0.0)]) == (59, None)


def test_one_frame_a_clip():
    single = SamplingConfig(frames=1, frame_stride=AUTO)
    assert chosen([(60, 25.0)], single) == (12, None)


def recipe_for(root, **sampling):
    recipe = get_recipe("finetune")
    return dataclasses.replace(
        recipe,
        data=DataConfig(root=str(root)),
        sampling=dataclasses.replace(recipe.sampling, **sampling),
    )


@pytest.fixture
def videos(tmp_path, monkeypatch):
    """Four training videos of 1.2 s, one of them at 50 frames a second."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, rates in (("a", (25, 25)), ("b", (25, 50))):
        for number, fps in enumerate(rates):
            for split in ("train", "validation"):
                path = tmp_path / "videos" / split / name / f"{number}.mkv"
                films.write_film(path, fps * 6 // 5, fps=fps)
    return tmp_path / "videos"


def test_a_run_begins_with_numbers_and_says_them(videos, tmp_path):
    run = RunFolder(tmp_path / "run")
    recipe, line = auto_stride.resolve(recipe_for(videos, frames=5), run)
    assert (recipe.sampling.frame_stride, recipe.sampling.fps) == (7, 25.0)
    assert line == (
        "sampling.frame_stride=7, sampling.fps=25: clips of 5 frames, 1.2 s "
        "long, of videos of 1.2 s (median)"
    )


def test_a_resumed_run_keeps_its_numbers(videos, tmp_path):
    run = RunFolder(tmp_path / "run")
    with run.opened(recipe_for(videos, frame_stride=3, fps=20.0)):
        pass
    recipe, line = auto_stride.resolve(recipe_for(videos), run)
    assert (recipe.sampling.frame_stride, recipe.sampling.fps) == (3, 20.0)
    assert line == ""
    run.check(recipe)


def test_a_given_stride_stays(videos, tmp_path):
    recipe = recipe_for(videos, frame_stride=2)
    run = RunFolder(tmp_path / "run")
    assert auto_stride.resolve(recipe, run) == (recipe, "")


def test_auto_stays_in_the_printed_recipe(capsys):
    train.main(["--recipe=finetune", "--print"])
    printed = json.loads(capsys.readouterr().out)
    assert printed["sampling"]["frame_stride"] == "auto"


def test_another_word_is_refused(videos):
    recipe = recipe_for(videos, frame_stride="always")
    with pytest.raises(UserError, match="a number from 1, or auto"):
        dataset_of(recipe)


def test_a_clip_cannot_be_read_before_the_stride_is_a_number():
    with pytest.raises(UserError, match="resolved when a run begins"):
        _ = SIXTEEN.stride
