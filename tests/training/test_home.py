"""Expansion of ~ in every argument and setting that is a path."""

import argparse

import pytest

from training import check as data_check
from training.coco import trained_detector
from training.data.data_config import DataConfig
from training.data.index_cache import IndexCache
from training.io import cli, paths
from training.io.user_error import UserError
from training.recipes import get_recipe, overrides
from training.recipes.schema import ModelConfig


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return str(tmp_path)


@pytest.mark.parametrize(
    "path", ["a/~/b", "./~", "a~", "s3://bucket/~me/x", "https://host/~me/x"]
)
def test_other_paths_are_unchanged(path, monkeypatch):
    assert DataConfig(root=path).root == path
    parser = argparse.ArgumentParser()
    parser.add_argument("--out")
    assert cli.parse(parser, [f"--out={path}"])[0].out == path


def test_a_path_object(home):
    assert str(paths.as_path("~/runs/a")) == f"{home}/runs/a"
    assert str(paths.as_path("runs/~/a")) == "runs/~/a"


@pytest.mark.parametrize(
    "words", [["~/x"], ["--out=~/x"], ["--out", "~/x"], ["--set=a=b", "~/x"]]
)
def test_arguments(words, home):
    parser = argparse.ArgumentParser()
    parser.add_argument("--out")
    parser.add_argument("--set")
    parser.add_argument("video", nargs="?")
    options, _ = cli.parse(parser, words)
    assert f"{home}/x" in (options.out, options.video)


@pytest.mark.parametrize(
    "field",
    [
        "data.root",
        "data.train",
        "data.validation",
        "data.test",
        "data.classes",
        "data.cache",
        "model.weights",
        "data",
    ],
)
def test_settings_of_videos(field, home):
    setting = f"{field}=~/x" if field != "data" else "data={root: ~/x}"
    recipe = overrides.override(get_recipe("finetune"), [setting])
    assert f'"{home}/x"' in overrides.to_json(recipe)


@pytest.mark.parametrize(
    "field",
    [
        "data.train",
        "data.images",
        "data.validation",
        "data.validation_images",
        "start.weights",
    ],
)
def test_settings_of_detectors(field, home):
    recipe = overrides.override(get_recipe("small"), [f"{field}='~/x'"])
    assert f'"{home}/x"' in overrides.to_json(recipe)


def test_settings_of_the_check(home):
    config = overrides.apply(data_check.CheckConfig(), ["data.root=~/x"])
    assert config.data.root == f"{home}/x"


def test_recipes_in_python(home):
    assert DataConfig(root="~/x", train="~").train == home
    assert ModelConfig("c2d_r50", weights="~/x.pkl").weights == f"{home}/x.pkl"


def test_the_cache(home, tmp_path):
    IndexCache("~/cache/videos.sqlite").close()
    assert (tmp_path / "cache" / "videos.sqlite").exists()


def test_weights_of_a_detector(home):
    with pytest.raises(UserError, match=f"no file {home}/x.pth"):
        trained_detector.load_detector("~/x.pth")
