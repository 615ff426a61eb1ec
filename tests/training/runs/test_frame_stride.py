"""A run resolves an automatic frame stride once."""

import dataclasses
import json

import pytest

from tests.training.data import films
from training import train
from training.data import datasets
from training.data.data_config import DataConfig
from training.io.user_error import UserError
from training.recipes import get_recipe
from training.runs import frame_stride
from training.runs.run_folder import RunFolder


def recipe_for(root, **sampling):
    recipe = get_recipe("finetune")
    return dataclasses.replace(
        recipe,
        data=DataConfig(root=str(root)),
        sampling=dataclasses.replace(recipe.sampling, **sampling),
    )


@pytest.fixture
def videos(tmp_path, monkeypatch):
    """Four training videos of 1.2 s, one of them at 50 frames per second."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, rates in (("a", (25, 25)), ("b", (25, 50))):
        for number, fps in enumerate(rates):
            for split in ("train", "validation"):
                path = tmp_path / "videos" / split / name / f"{number}.mkv"
                films.write_film(path, fps * 6 // 5, fps=fps)
    return tmp_path / "videos"


def test_stride_and_rate_are_chosen_at_the_start_of_a_run(videos, tmp_path):
    run = RunFolder(tmp_path / "run")
    recipe, line = frame_stride.resolve(recipe_for(videos, frames=5), run)
    assert (recipe.sampling.frame_stride, recipe.sampling.fps) == (7, 25.0)
    assert line == (
        "sampling.frame_stride=7, sampling.fps=25: clips of 5 frames, 1.2 s "
        "long, of videos of 1.2 s (median)"
    )


def test_resumed_run_keeps_its_stride(videos, tmp_path):
    run = RunFolder(tmp_path / "run")
    with run.opened(recipe_for(videos, frame_stride=3, fps=20.0)):
        pass
    recipe, line = frame_stride.resolve(recipe_for(videos), run)
    assert (recipe.sampling.frame_stride, recipe.sampling.fps) == (3, 20.0)
    assert line == ""
    run.check(recipe)


def test_configured_stride_is_kept(videos, tmp_path):
    recipe = recipe_for(videos, frame_stride=2)
    run = RunFolder(tmp_path / "run")
    assert frame_stride.resolve(recipe, run) == (recipe, "")


def test_printed_recipe_keeps_auto(capsys):
    train.main(["--recipe=finetune", "--print"])
    printed = json.loads(capsys.readouterr().out)
    assert printed["sampling"]["frame_stride"] == "auto"


def test_unknown_stride_raises(videos):
    recipe = recipe_for(videos, frame_stride="always")
    with pytest.raises(UserError, match="a number from 1, or auto"):
        datasets.load(recipe.dataset, recipe.data, recipe.sampling)
