"""Recipes of detectors: fields, checks, and rows of the paper's tables."""

import pytest

from training.io.user_error import UserError
from training.recipes import coco, detection_schema, get_recipe, overrides
from training.recipes.schema import names_of

SMALL = get_recipe("small")
NAMES = names_of(detection_schema.DetectionRecipe)


def test_settings_override_nested_fields():
    recipe = overrides.override(
        SMALL,
        [
            "detector.layers=1,2,3,1",
            "detector.nonlocal_block={'pairwise': 'gaussian'}",
            "detector.aspect_ratios=1,2",
            "images.canvas_px=64,96",
            "sampling.anchor_iou_thresholds=0.2,0.6",
            "start.frozen=conv1,res2",
        ],
    )
    assert recipe.detector.layers == (1, 2, 3, 1)
    assert recipe.detector.block["pairwise"] == "gaussian"
    assert recipe.detector.aspect_ratios == (1.0, 2.0)
    assert recipe.batch_config.canvas_px == (64, 96)
    assert recipe.sampling.anchor_iou_thresholds == (0.2, 0.6)
    assert recipe.start.frozen_parts == ("conv1", "res2")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("detector.layers=1,2", "4 whole numbers"),
        ("detector.stride_on=2x2", "expected 3x3 or 1x1"),
        ("images.canvas_px=100,100", "multiples of 32"),
        ("images.channel_order=hsv", "Unknown images.channel_order 'hsv'"),
        ("images.mask_cells=2", "at least 3"),
        ("start.frozen=res9", "Unknown start.frozen 'res9'"),
        ("training.precision=half", "Unknown training.precision"),
        ("training.micro_batches=3", "micro_batches to divide batch=2"),
        ("epoch_steps=0", "epoch_steps to be at least 1"),
        ("name=other", "keeps its name"),
        ("detector.depth=50", "Unknown field of DetectorConfig 'depth'"),
    ],
)
def test_invalid_settings_are_rejected(setting, message):
    with pytest.raises(UserError, match=message):
        overrides.override(SMALL, [setting])


def test_an_error_suggests_the_name_of_a_recipe():
    with pytest.raises(UserError, match="Did you mean 'coco_r50_nl'"):
        get_recipe("coco_r50nl")


@pytest.mark.parametrize(("table", "rows"), [("table 5", 6), ("table 6", 3)])
def test_each_row_of_the_papers_tables_has_a_recipe(table, rows):
    recipes = [
        recipe
        for recipe in map(get_recipe, NAMES)
        if recipe.reference is not None and recipe.reference.table == table
    ]
    assert len(recipes) == rows == len({r.reference.row for r in recipes})
    for recipe in recipes:
        blocks = (
            recipe.detector.nonlocal_block,
            recipe.detector.keypoint_nonlocal_block,
        )
        assert (blocks != (None, None)) == ("NL" in recipe.reference.row)
        assert bool(recipe.detector.num_keypoints) == (table == "table 6")
        assert recipe.start.frozen_parts == ("conv1", "res2")


# Of Detectron's configurations of 2017 (e2e_mask_rcnn_R-50-FPN_1x and so on):
# short sides in training; proposals before and after NMS in training, where
# Detectron's 2,000 are of all images of a GPU and detectron2's of each.
SIX_SIDES = (640, 672, 704, 736, 768, 800)
PAPERS = [n for n in NAMES if get_recipe(n).reference is not None]


@pytest.mark.parametrize("name", PAPERS)
def test_sizes_and_proposals_follow_detectron(name):
    recipe = get_recipe(name)
    sides, post_nms_top_n = (800,), 1000
    if name.startswith("coco_x152"):
        sides, post_nms_top_n = SIX_SIDES, 2000
    elif name.startswith("coco_keypoints"):
        sides, post_nms_top_n = SIX_SIDES, 1500
    assert recipe.images.short_sides_px == sides
    assert recipe.images.eval_short_side_px == 800
    assert recipe.sampling.pre_nms_top_n == 2000
    assert recipe.sampling.post_nms_top_n == post_nms_top_n
    assert recipe.detector.pre_nms_top_n == 1000
    assert recipe.detector.post_nms_top_n == 1000


def test_training_may_keep_other_numbers_of_proposals():
    recipe = overrides.override(SMALL, ["sampling.pre_nms_top_n=400"])
    assert recipe.sampling.pre_nms_top_n == 400
    assert recipe.sampling.post_nms_top_n is None  # as at inference
    with pytest.raises(UserError, match="pre_nms_top_n=0"):
        overrides.override(SMALL, ["sampling.pre_nms_top_n=0"])


def test_rates_follow_detectron():
    r50, x152 = (get_recipe(f"coco_{n}") for n in ("r50", "x152"))
    assert (r50.optimizer.base_lr, r50.batch, r50.steps) == (0.02, 16, 90_000)
    assert (x152.optimizer.base_lr, x152.batch) == (0.01, 8)
    assert x152.detector.groups == 32 and x152.detector.stride_on == "3x3"
    assert r50.detector.stride_on == "1x1" and r50.images.normalization.bgr
    assert r50.sampling.box_smooth_l1_beta == 1.0
    assert coco.KEYPOINT_ROWS[2][4] == "66.5 87.3 72.8"
