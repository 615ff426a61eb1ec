"""Networks of the recipes, as typed from the tables of the paper.

A line: backbone and depth, clips, and after which residual blocks, counted
from 0, there are non-local blocks.
"""

import dataclasses
import types

import pytest

import nonlocal_tf as nl
from nonlocal_tf.layers import NonLocalBlock
from nonlocal_tf.models import backbones, registry
from tests.models.tiny import without_weights
from training.recipes import (
    block_placement,
    charades,
    get_recipe,
    kinetics400,
)
from training.recipes import slowfast as slowfast_recipes
from training.recipes.schema import Recipe, names_of
from training.runs import run_model

FIVE_50 = {"res3": (1, 3), "res4": (1, 3, 5)}
FIVE_101 = {"res3": (1, 3), "res4": (6, 13, 20)}
TEN_50 = {"res3": (0, 1, 2, 3), "res4": (0, 1, 2, 3, 4, 5)}
TEN_101 = {"res3": (0, 1, 2, 3), "res4": (3, 6, 10, 13, 17, 20)}
BEFORE_THE_LAST = {"res4": (4,)}
# recipe: backbone, depth, frames, stride, blocks
NETWORKS = {
    "k400_c2d_r50_32x2": ("c2d", 50, 32, 2, {}),
    "k400_c2d_nl1_gaussian_r50_32x2": ("c2d", 50, 32, 2, BEFORE_THE_LAST),
    "k400_c2d_nl1_r50_32x2": ("c2d", 50, 32, 2, BEFORE_THE_LAST),
    "k400_c2d_nl1_dot_product_r50_32x2": ("c2d", 50, 32, 2, BEFORE_THE_LAST),
    "k400_c2d_nl1_concatenation_r50_32x2": ("c2d", 50, 32, 2, BEFORE_THE_LAST),
    "k400_c2d_nl1_res2_r50_32x2": ("c2d", 50, 32, 2, {"res2": (1,)}),
    "k400_c2d_nl1_res3_r50_32x2": ("c2d", 50, 32, 2, {"res3": (2,)}),
    "k400_c2d_nl1_res5_r50_32x2": ("c2d", 50, 32, 2, {"res5": (1,)}),
    "k400_c2d_nl5_r50_32x2": ("c2d", 50, 32, 2, FIVE_50),
    "k400_c2d_nl10_r50_32x2": ("c2d", 50, 32, 2, TEN_50),
    "k400_c2d_r101_32x2": ("c2d", 101, 32, 2, {}),
    "k400_c2d_nl1_r101_32x2": ("c2d", 101, 32, 2, {"res4": (21,)}),
    "k400_c2d_nl5_r101_32x2": ("c2d", 101, 32, 2, FIVE_101),
    "k400_c2d_nl10_r101_32x2": ("c2d", 101, 32, 2, TEN_101),
    "k400_c2d_nl5_space_r50_32x2": ("c2d", 50, 32, 2, FIVE_50),
    "k400_c2d_nl5_time_r50_32x2": ("c2d", 50, 32, 2, FIVE_50),
    "k400_c2d_nl5_space_r101_32x2": ("c2d", 101, 32, 2, FIVE_101),
    "k400_c2d_nl5_time_r101_32x2": ("c2d", 101, 32, 2, FIVE_101),
    "k400_i3d_3x3x3_r101_32x2": ("i3d", 101, 32, 2, {}),
    "k400_i3d_r101_32x2": ("i3d", 101, 32, 2, {}),
    "k400_i3d_r50_32x2": ("i3d", 50, 32, 2, {}),
    "k400_i3d_nl5_r50_32x2": ("i3d", 50, 32, 2, FIVE_50),
    "k400_i3d_nl5_r101_32x2": ("i3d", 101, 32, 2, FIVE_101),
    "k400_c2d_r50_128x1": ("c2d", 50, 128, 1, {}),
    "k400_i3d_r50_128x1": ("i3d", 50, 128, 1, {}),
    "k400_i3d_nl5_r50_128x1": ("i3d", 50, 128, 1, FIVE_50),
    "k400_c2d_r101_128x1": ("c2d", 101, 128, 1, {}),
    "k400_i3d_r101_128x1": ("i3d", 101, 128, 1, {}),
    "k400_i3d_nl5_r101_128x1": ("i3d", 101, 128, 1, FIVE_101),
    "k400_c2d_r50_8x8": ("c2d", 50, 8, 8, {}),
    "k400_c2d_nl5_r50_8x8": ("c2d", 50, 8, 8, FIVE_50),
    "k400_i3d_r50_8x8": ("i3d", 50, 8, 8, {}),
    "k400_i3d_nl5_r50_8x8": ("i3d", 50, 8, 8, FIVE_50),
    "k400_i3d_r50_32x4": ("i3d", 50, 32, 4, {}),
    "k400_i3d_nl5_r50_32x4": ("i3d", 50, 32, 4, FIVE_50),
    "k400_i3d_r50_8x8_300k": ("i3d", 50, 8, 8, {}),
    "k400_i3d_r50_8x8_4gpu_600k": ("i3d", 50, 8, 8, {}),
    "k400_i3d_r50_8x8_4gpu_300k": ("i3d", 50, 8, 8, {}),
    "slowfast_c2d_r50_8x8": ("c2d", 50, 8, 8, {}),
    "slowfast_i3d_r50_8x8": ("i3d", 50, 8, 8, {}),
    "slowfast_i3d_nl5_r50_8x8": ("i3d", 50, 8, 8, FIVE_50),
    "slowfast_i3d_r101_8x8": ("i3d", 101, 8, 8, {}),
    "slowfast_i3d_nl5_r101_8x8": ("i3d", 101, 8, 8, FIVE_50),
    "slowfast_i3d_r50_8x8_in1k": ("i3d", 50, 8, 8, {}),
    "slowfast_i3d_nl5_r50_8x8_in1k": ("i3d", 50, 8, 8, FIVE_50),
    "charades_i3d_r101_128x1": ("i3d", 101, 128, 1, {}),
    "charades_i3d_nl5_r101_128x1": ("i3d", 101, 128, 1, FIVE_101),
}
BUILT = ["k400_c2d_nl1_res2_r50_32x2", "slowfast_i3d_nl5_r101_8x8"]
GMACS = {
    **{row.name: row.gmacs for row in kinetics400.ROWS},
    **{row.name: row.gmacs for row in slowfast_recipes.ROWS},
    **{f"charades_{row[0]}_128x1": row[1] for row in charades.ROWS},
}


def test_every_recipe_with_a_reference_is_in_the_table():
    names = names_of(Recipe)
    assert set(NETWORKS) == {n for n in names if get_recipe(n).reference}


def places_of(recipe):
    """After which residual blocks the recipe asks for non-local ones."""
    spec = registry.MODELS[recipe.model.name].args[0]
    block = recipe.model.nonlocal_block
    chosen = (
        block_placement.read(block.places) if block and block.places else {}
    )
    if isinstance(chosen, str):
        spec = spec.with_one_block(chosen)
    elif chosen:
        spec = spec.with_blocks(chosen)
    pairs = zip(backbones.STAGES, spec.nonlocal_after, strict=True)
    return {stage: after for stage, after in pairs if after}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_recipe_asks_for_the_network_of_its_row(name):
    recipe = get_recipe(name)
    backbone, depth, frames, stride, places = NETWORKS[name]
    assert recipe.model.name.split("_")[0] == backbone
    assert recipe.model.name.endswith(f"_r{depth}")
    assert recipe.model.sampling == f"{frames}x{stride}"
    assert recipe.sampling.frames == frames
    assert recipe.sampling.frame_stride == stride
    assert places_of(recipe) == places
    is_long = (frames, stride) in ((32, 4), (128, 1))
    assert (recipe.model.norm == "affine") == is_long
    expected = "short clips" if is_long else "imagenet"
    if name.startswith("charades"):
        expected = "kinetics"
    elif name.startswith("slowfast") and not name.endswith("in1k"):
        expected = "scratch"
    assert recipe.model.start == expected


def build(recipe):
    """The recipe's network, without numbers."""
    side = recipe.sampling.crop_px
    dataset = types.SimpleNamespace(
        classes=range(400),
        element_shape=(recipe.sampling.frames, side, side, 3),
        multi_label=recipe.dataset == "charades",
    )
    with without_weights():
        return run_model.build_model(recipe, dataset)


def network(name):
    """Key of the network of a recipe, to build equal ones once."""
    recipe = get_recipe(name)
    model = dataclasses.replace(recipe.model, start="", dropout=None)
    return model, recipe.sampling.frames, recipe.sampling.crop_px


DISTINCT = {network(name): name for name in reversed(NETWORKS)}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.full] * (name not in BUILT))
        for name in DISTINCT.values()
    ],
)
def test_a_network_that_is_built_has_its_blocks_and_its_cost(name):
    recipe = get_recipe(name)
    model = build(recipe)
    blocks = [x for x in model.layers if isinstance(x, NonLocalBlock)]
    *_, places = NETWORKS[name]
    assert {block.name for block in blocks} == {
        f"{stage}_block{index}_nonlocal"
        for stage, indices in places.items()
        for index in indices
    }
    config = recipe.model.nonlocal_block
    for block in blocks:
        expected = (config.pairwise or "embedded_gaussian", config.axes)
        assert block.get_config()["pairwise"] == expected[0]
        assert block.axes == (expected[1] or "spacetime")
    # The hours of a recipe rest on it.
    gflops = nl.cost(model).multiply_adds / 1e9
    assert GMACS[name] == pytest.approx(gflops, abs=0.005)


def test_recipes_of_the_same_network_cost_the_same():
    for name in NETWORKS:
        assert GMACS[name] == GMACS[DISTINCT[network(name)]]


VARIANTS = {
    "k400_c2d_nl1_gaussian_r50_32x2": {"pairwise": "gaussian"},
    "k400_c2d_nl1_dot_product_r50_32x2": {"pairwise": "dot_product"},
    "k400_c2d_nl1_concatenation_r50_32x2": {"pairwise": "concatenation"},
    "k400_c2d_nl1_res2_r50_32x2": {"places": "res2"},
    "k400_c2d_nl1_res3_r50_32x2": {"places": "res3"},
    "k400_c2d_nl1_res5_r50_32x2": {"places": "res5"},
    "k400_c2d_nl5_space_r50_32x2": {"axes": "space"},
    "k400_c2d_nl5_time_r50_32x2": {"axes": "time"},
    "k400_c2d_nl5_space_r101_32x2": {"axes": "space"},
    "k400_c2d_nl5_time_r101_32x2": {"axes": "time"},
    "slowfast_i3d_nl5_r101_8x8": {"places": "res3:1,3 res4:1,3,5"},
}


def test_blocks_differ_from_the_default_in_what_their_row_is_about_alone():
    for name in NETWORKS:
        block = get_recipe(name).model.nonlocal_block
        assert (block is None) == ("_nl" not in name)
        fields = {} if block is None else vars(block)
        set_fields = {k: v for k, v in fields.items() if v is not None}
        assert set_fields == VARIANTS.get(name, {}), name


def test_inflation_and_stem_are_those_of_their_rows():
    inflated = {n for n in NETWORKS if get_recipe(n).model.inflation}
    assert inflated == {"k400_i3d_3x3x3_r101_32x2"}
    assert get_recipe(*inflated).model.inflation == "3x3x3"
    stems = {n: get_recipe(n).model.stem for n in NETWORKS}
    assert {n for n in stems if stems[n]} == {
        n for n in NETWORKS if n.startswith("slowfast")
    }
    assert set(stems.values()) == {None, "slowfast"}
