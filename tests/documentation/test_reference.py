"""Generated pages of the reference."""

import re

import pytest

import nonlocal_tf as nl
from docs import reference
from training.__main__ import COMMANDS
from training.recipes import RECIPES


@pytest.fixture(scope="module")
def recipes():
    return reference.recipes()


def test_every_command_has_its_help():
    page = reference.commands()
    assert re.findall(r"^### (\w+)$", page, re.M) == list(COMMANDS)
    assert page.count("usage: nonlocal-tf") == len(COMMANDS)


def test_every_recipe_field_has_a_meaning(recipes):
    rows = re.findall(r"^\| `([\w.]+)` \|.*\| ([^|]*) ?\|$", recipes, re.M)
    assert len(rows) > 100
    assert not [name for name, meaning in rows if not meaning.strip()]


def test_fields_of_nested_settings_and_recipes_are_listed(recipes):
    for name in ("optimizer.base_lr", "sampling.crop_px", "data.max_pixels"):
        assert f"| `{name}` |" in recipes
    assert all(f"| `{name}` |" in recipes for name in RECIPES)


def test_meanings_are_those_of_the_docstring():
    class Config:
        """Settings.

        Attributes:
            size: in pixels,
                of one side.
            name: of it.

        Example:
            x: no field.
        """

    expected = {"size": "in pixels, of one side.", "name": "of it."}
    assert reference.field_meanings(Config) == expected


def test_the_layouts_of_data_sets_are_described():
    page = reference.datasets()
    assert "## `folder`" in page and "clips/jump/a.mp4" in page


def test_all_published_weights_are_listed():
    page = reference.weights()
    for row in nl.list_weights():
        assert f"| `{row.network}` | `{row.name}` |" in page
        assert row.is_included or f"({row.address})" in page
    assert "CC-BY-NC 4.0" in page
