import dataclasses
import sys

import pytest

from training.io.user_error import UserError
from training.recipes import get_recipe, overrides, recipe_source


def test_a_name_is_a_registered_recipe():
    assert recipe_source.load("digits_nl") == get_recipe("digits_nl")


def test_a_json_file_is_a_recipe(tmp_path):
    recipe = dataclasses.replace(get_recipe("finetune"), batch=7)
    path = tmp_path / "mine.json"
    path.write_text(overrides.to_json(recipe))
    assert recipe_source.load(str(path)) == recipe


def test_a_function_makes_a_recipe(tmp_path, monkeypatch):
    module = "own_recipes_1"
    (tmp_path / f"{module}.py").write_text(
        "import dataclasses\n"
        "from training.recipes import get_recipe\n"
        "def mine():\n"
        "    return dataclasses.replace(get_recipe('digits_nl'), batch=11)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    recipe = recipe_source.load("own_recipes_1:mine")
    del sys.modules["own_recipes_1"]
    assert recipe == dataclasses.replace(get_recipe("digits_nl"), batch=11)


def test_settings_may_complete_a_file(tmp_path):
    recipe = dataclasses.replace(get_recipe("digits_c2d"), steps=5)
    path = tmp_path / "short.json"
    path.write_text(overrides.to_json(recipe))  # its warmup is longer
    with pytest.raises(UserError, match="warmup"):
        overrides.override(recipe_source.load(str(path)), [])
    settings = ["optimizer.warmup_steps=0", "image_stage=null"]
    short = overrides.override(recipe_source.load(str(path)), settings)
    assert (short.steps, short.optimizer.warmup_steps) == (5, 0)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("digits_n", "digits_nl"),
        ("mine.json", "no file mine.json"),
        ("math:sqrt2", "name of module math"),
        ("math:isfinite", "math:isfinite to be a function without arguments"),
        ("math:pi", "Expected math:pi to return a recipe.*float"),
    ],
)
def test_other_sources_are_refused(source, message):
    with pytest.raises(UserError, match=message):
        recipe_source.load(source)


def test_a_file_that_is_no_recipe_is_named(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text("{}")
    with pytest.raises(UserError, match=r"mine\.json"):
        recipe_source.load(str(path))
