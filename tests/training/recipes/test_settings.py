"""Settings shared by the recipes, as typed from section 3 and the code."""

import re

import pytest

from training.data.sampling_config import ViewsConfig
from training.recipes import RECIPES, get_recipe, published
from training.recipes.schema import Recipe, names_of

PAPERS = [n for n in names_of(Recipe) if get_recipe(n).reference is not None]
KINETICS = [n for n in PAPERS if n.startswith("k400")]
SLOWFAST = [n for n in PAPERS if n.startswith("slowfast")]
CHARADES = [n for n in PAPERS if n.startswith("charades")]


@pytest.mark.parametrize("name", PAPERS)
def test_all_train_with_the_authors_optimizer(name):
    config = get_recipe(name).optimizer
    assert (config.name, config.momentum, config.weight_decay) == (
        "sgd",
        0.9,
        1e-4,
    )
    assert (config.clip_norm, config.scale_lr) == (None, False)
    # The rate is for this batch: no note, and scaling changes nothing.
    assert config.lr_batch == get_recipe(name).batch


@pytest.mark.parametrize("name", PAPERS)
def test_statistics_are_of_a_device_and_precise_before_a_checkpoint(name):
    recipe = get_recipe(name)
    assert not recipe.training.synchronized_bn
    batches = 0 if recipe.model.norm == "affine" else 200
    assert recipe.training.precise_bn_batches == batches


@pytest.mark.parametrize("name", KINETICS)
def test_kinetics_is_seen_as_the_authors_see_it(name):
    recipe = get_recipe(name)
    fixed = name.endswith("4gpu_300k")
    sampling = recipe.sampling
    assert (sampling.min_short_side_px, sampling.max_short_side_px) == (
        256,
        256 if fixed else 320,
    )
    assert (sampling.crop_px, sampling.flip, sampling.fps) == (224, True, None)
    assert sampling.past_end == "wrap"
    assert recipe.model.dropout == (0.0 if fixed else 0.5)
    assert recipe.epoch_steps == 10_000
    assert recipe.views == ViewsConfig(
        clips=10, crops=3, short_side_px=256, crop_px=256, starts="authors"
    )


@pytest.mark.parametrize("name", SLOWFAST)
def test_kinetics_is_seen_as_slowfast_sees_it(name):
    recipe = get_recipe(name)
    sampling = recipe.sampling
    assert (sampling.min_short_side_px, sampling.max_short_side_px) == (
        256,
        320,
    )
    assert (sampling.crop_px, sampling.fps, sampling.past_end) == (
        224,
        30.0,
        "clamp",
    )
    assert (recipe.views.clips, recipe.views.crops) == (10, 3)
    assert recipe.views.starts == "slowfast"
    assert recipe.model.dropout == 0.5


@pytest.mark.parametrize("name", CHARADES)
def test_charades_is_seen_larger_and_tested_on_whole_frames(name):
    recipe = get_recipe(name)
    sampling, views = recipe.sampling, recipe.views
    # 256..320 times 288/224
    assert (sampling.min_short_side_px, sampling.max_short_side_px) == (
        329,
        411,
    )
    assert sampling.crop_px == 288
    assert (views.clips, views.crops, views.short_side_px) == (10, 0, 320)
    assert views.pool == "max"


@pytest.mark.parametrize("name", PAPERS)
def test_the_help_of_a_recipe_says_what_it_reproduces(name):
    help_text, recipe = RECIPES[name].__doc__, get_recipe(name)
    for fact in vars(recipe.reference).values():
        assert fact and fact in help_text
    assert f"nonlocal-tf train --recipe {name} \\" in help_text
    assert "--set data.root=" in help_text and "data.train=" in help_text
    has_weights = "model.weights=" in help_text
    assert has_weights == (recipe.model.start != "scratch")


@pytest.mark.parametrize("name", PAPERS)
def test_a_run_to_start_from_is_one_without_blocks_or_the_same_network(name):
    match = re.search(r"model\.weights=runs/(\S+)", RECIPES[name].__doc__)
    recipe = get_recipe(name)
    assert bool(match) == (recipe.model.start in ("short clips", "kinetics"))
    if match is None:
        return
    before = get_recipe(match.group(1)).model
    if recipe.model.start == "kinetics":
        assert before.name == recipe.model.name
        return
    backbone, *_, depth = recipe.model.name.split("_")
    assert before.name == f"{backbone}_{depth}"
    assert before.sampling in ("8x8", "32x2")


def test_hours_are_operations_over_what_the_gpus_sustain():
    # 2 operations, 3 passes, 20e9, 25.6e6 clips; 8 GPUs with 5e12 a second.
    assert published.estimated_hours(20, 25_600_000, 8).startswith("about 21 h")
    assert published.estimated_hours(20, 25_600_000, 4).startswith("about 43 h")
