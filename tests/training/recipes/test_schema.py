import dataclasses
import inspect

import pytest

from nonlocal_tf import NonLocalBlock
from training.io.user_error import UserError
from training.recipes import RECIPES, get_recipe, overrides
from training.recipes import schema as recipes
from training.runs import run_model


@pytest.fixture(params=sorted(RECIPES))
def recipe(request):
    return get_recipe(request.param)


def test_name_is_that_of_the_function(recipe):
    assert RECIPES[recipe.name]() == recipe


def test_registered_recipes_are_consistent(recipe):
    assert overrides.schema_of(recipe).check(recipe) is recipe


def test_json_round_trip(recipe):
    assert overrides.from_json(overrides.to_json(recipe)) == recipe


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"name": "x"}', '{"a": 1}', '{"name": {}}']
)
def test_text_that_is_no_recipe_is_refused(text):
    with pytest.raises(UserError, match="Not a recipe"):
        overrides.from_json(text)


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("batch=48", "batch", 48),
        ("optimizer.base_lr=1", "optimizer.base_lr", 1.0),
        ("optimizer.base_lr=2e-3", "optimizer.base_lr", 0.002),
        (
            "model.nonlocal_block.scale=rsqrt",
            "model.nonlocal_block.scale",
            "rsqrt",
        ),
        ("model.nonlocal_block.scale=0.5", "model.nonlocal_block.scale", 0.5),
        ("model.name=i3d_small", "model.name", "i3d_small"),
        ("image_stage.steps=400", "image_stage.steps", 400),
    ],
)
def test_override_sets_one_field(setting, field, value):
    before = get_recipe("digits_nl")
    after = overrides.override(before, [setting])
    (change,) = overrides.differences(before, after)
    assert change.startswith(f"{field}: ") and change.endswith(f", {value!r}")


def test_override_can_leave_out_the_image_stage():
    after = overrides.override(get_recipe("digits_nl"), ["image_stage=None"])
    assert after.image_stage is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("optimizer.base_rl=1", "Did you mean 'base_lr'"),
        ("stepps=4", "Did you mean 'steps'"),
        ("mixup=0.8", r"Did you mean training\.mixup\?"),
        ("sampling.mixup=0.8", r"Did you mean training\.mixup\?"),
        ("optimizer.pairwise=dot", r"mean model\.nonlocal_block\.pairwise\?"),
        ("frozen=stage1", r"Did you mean model\.frozen\?"),
        ("batch=many", "expected a whole number such as 8. Received: 'many'"),
        ("batch=1.5", "expected a whole number"),
        ("batch=True", "expected a whole number"),
        ("batch", "Expected --set field=value"),
        ("batch.x=3", "has no fields"),
        ("name=other", "keeps its name"),
        ("batch={[]}", "expected a whole number"),
        ("seed=-1", "Expected seed from 0"),
        ("batch=0", "Expected batch to be at least 1"),
        ("epoch_steps=0", "Expected epoch_steps to be at least 1"),
        ("optimizer.warmup_steps=2400", "Expected optimizer.warmup"),
        ("image_stage.epoch_steps=0", "Expected epoch_steps to be at least"),
    ],
)
def test_bad_settings_are_refused(setting, message):
    with pytest.raises(UserError, match=message):
        overrides.override(get_recipe("digits_nl"), [setting])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["training.class_weights=0,0"], "not all of them 0"),
        (["training.class_weights=inf,1"], "to be numbers from 0"),
        (["training.metric=val_loss"], "goes with --set training.keep=best"),
        (["optimizer.part_rates=head=1e999"], "each part once"),
        (["optimizer.part_rates=head=1,head=2"], "each part once"),
        (["sampling.repeats=2", "batch=6"], "multiple of 4"),
    ],
)
def test_settings_that_change_nothing_or_break_training_are_refused(
    settings, message
):
    with pytest.raises(UserError, match=message):
        overrides.override(get_recipe("finetune"), settings)


def test_settings_are_checked_together():
    # The first alone would end within the warm-up.
    after = overrides.override(
        get_recipe("digits_nl"), ["steps=70", "optimizer.warmup_steps=7"]
    )
    assert after.steps == 70


@pytest.mark.parametrize(
    ("steps", "epoch_steps", "after"),
    [(10, 4, [0, 4, 8, 10]), (8, 4, [0, 4, 8]), (3, 5, [0, 3])],
)
def test_the_last_epoch_is_what_is_left_of_the_steps(steps, epoch_steps, after):
    recipe = dataclasses.replace(
        get_recipe("digits_image"), steps=steps, epoch_steps=epoch_steps
    )
    assert recipe.epochs == len(after) - 1
    assert [
        recipe.plan.steps_after(n) for n in range(recipe.epochs + 1)
    ] == after


def test_a_seed_reaches_the_image_stage():
    recipe = recipes.with_seed(get_recipe("digits_nl"), 7)
    assert (recipe.seed, recipe.image_stage.seed) == (7, 7)


def test_unknown_recipe_suggests_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'digits_nl'"):
        get_recipe("digit_nl")


def test_recipes_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        get_recipe("digits_nl").batch = 3


def test_the_ablation_differs_from_the_example_in_its_model_alone():
    fields = overrides.differences(
        get_recipe("digits_nl"), get_recipe("digits_c2d")
    )
    changed = {field.split(":")[0].split(".")[0] for field in fields}
    assert changed == {"name", "model"}


def test_what_the_network_does_not_take_is_an_argument_of_the_block():
    arguments = inspect.signature(NonLocalBlock).parameters
    for field in dataclasses.fields(recipes.NonLocalConfig):
        assert field.default is None
        if field.name not in run_model.BLOCK_ARGUMENTS:
            assert field.name in arguments


def test_settings_make_one_recipe_of_another():
    start = get_recipe("digits_nl")
    sets = [
        "model.nonlocal_block.pairwise=gaussian",
        "optimizer.schedule=steps",
        "optimizer.drops_at_steps=(3, 5)",
        "image_stage.optimizer.warmup_steps=2",
        "training.ema_decay=0.5",
    ]
    target = overrides.override(start, sets)
    settings = overrides.settings(start, target)
    assert len(settings) == len(sets)
    assert overrides.override(start, settings) == target
    assert overrides.settings(start, start) == []


def test_recipes_of_different_names_have_no_settings_between_them():
    start, target = get_recipe("digits_c2d"), get_recipe("digits_nl")
    assert overrides.settings(start, target) is None
    assert overrides.settings(get_recipe("digits_image"), target) is None
