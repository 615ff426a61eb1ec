import argparse

import pytest

from training.data.sampling_config import SamplingConfig, ViewsConfig
from training.evaluation import view_options
from training.io.user_error import UserError
from training.recipes import get_recipe


def views_of(*arguments, recipe="finetune_pretrained"):
    parser = argparse.ArgumentParser()
    view_options.add_arguments(parser)
    recipe = get_recipe(recipe)
    options = parser.parse_args(arguments)
    return view_options.views_of(options, recipe.views, recipe.sampling)


def test_10x3_is_the_authors_protocol():
    assert views_of("--views=10x3") == ViewsConfig(10, 3, 256, 256, "authors")


def test_crop_size_defaults_to_the_short_side():
    assert views_of("--views=2x1", recipe="finetune").crop_px == 120
    assert views_of("--views=2x1", "--short-side=320").crop_px == 320
    views = views_of("--views=2x1", "--short-side=320", "--crop=300")
    assert (views.short_side_px, views.crop_px) == (320, 300)


def test_default_is_the_middle_clip():
    assert views_of() is None


def test_full_frames_have_no_crops():
    assert views_of("--views=10x1", "--full-frame").crops == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--full-frame"], "Give --views too"),
        (["--views=4x3", "--full-frame"], "goes with --views 4x1"),
        (["--views=4x1", "--full-frame", "--crop=9"], "leave out --crop"),
    ],
)
def test_contradicting_options_are_an_error(arguments, message):
    with pytest.raises(UserError, match=message):
        views_of(*arguments)


@pytest.mark.parametrize("text", ["10", "0x3", "10x2", "x3", "10x", "axb"])
def test_views_are_clips_by_one_or_three_crops(text):
    with pytest.raises(argparse.ArgumentTypeError, match="such as 10x3"):
        view_options.clips_by_crops(text)


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (ViewsConfig(pool="max"), "max is for multi-label"),
        (ViewsConfig(starts="centre"), "Expected 1 clip"),
        (ViewsConfig(clips=1_000_000), "at most 1000 clips"),
        (ViewsConfig(crop_px=300), "300 of 256"),
        (ViewsConfig(starts="nowhere"), "Unknown starts"),
    ],
)
def test_invalid_views_are_an_error(views, message):
    with pytest.raises(UserError, match=message):
        view_options.check(views, SamplingConfig(), multi_label=False)


def test_folder_names_distinguish_views():
    names = [
        view_options.folder_name(views, SamplingConfig())
        for views in (
            ViewsConfig(),
            ViewsConfig(crops=0),
            ViewsConfig(starts="slowfast"),
            ViewsConfig(short_side_px=288),
            ViewsConfig(crops=0, short_side_px=288),
        )
    ]
    assert names == [
        "10x3",
        "10xframe",
        "10x3_slowfast",
        "10x3_288px_256",
        "10xframe_288px",
    ]
