"""The rows of the ablations, against the paper and against the recipes."""

import pytest

from training.recipes import RECIPES, digits_ablations, get_recipe, overrides
from training.reproduce.ablation_tables import TABLES, recipes_of

# Table 2 of the paper: top-1 and top-5 of each row, from top to bottom.
PAPER = {
    "2a": "71.8 89.7  72.5 90.2  72.7 90.5  72.9 90.3  72.8 90.5",
    "2b": "71.8 89.7  72.7 90.3  72.9 90.4  72.7 90.5  72.3 90.1",
    "2c": "71.8 89.7  72.7 90.5  73.8 91.0  74.3 91.2",
    "2d": "71.8 89.7  72.9 90.8  73.1 90.5  73.8 91.0",
    "2e": "73.1 91.0  74.1 91.2  74.4 91.1  75.1 91.7",
    "2f": "71.8 89.7  73.3 90.7  74.9 91.6",
}


@pytest.mark.parametrize("name", TABLES)
def test_numbers_are_the_papers(name):
    rows = [(row.top1, row.top5) for row in TABLES[name].rows]
    numbers = [float(number) for number in PAPER[name].split()]
    paper = [number for row in rows for number in row if number is not None]
    assert paper == numbers


def test_every_row_is_a_registered_recipe_and_every_variant_a_row():
    recipes = recipes_of(TABLES)
    assert set(recipes) <= set(RECIPES)
    assert set(digits_ablations.VARIANTS) <= set(recipes)
    assert len(recipes) == len(set(recipes))


@pytest.mark.parametrize("name", digits_ablations.VARIANTS)
def test_a_variant_differs_from_the_main_example_in_its_network_alone(name):
    changed = overrides.differences(get_recipe("digits_nl"), get_recipe(name))
    fields = {line.split(":")[0].split(".")[0] for line in changed}
    assert fields == {"name", "model"}


@pytest.mark.parametrize(
    ("name", "changes"),
    {
        "digits_nl_gaussian": [
            "pairwise: None, 'gaussian'",
            "tie_theta_phi_init: True, None",
        ],
        "digits_nl_dot_product": ["pairwise: None, 'dot_product'"],
        "digits_nl_concatenation": ["pairwise: None, 'concatenation'"],
        "digits_nl_efficient": ["pairwise: None, 'efficient'"],
        "digits_nl_global_context": [
            "pairwise: None, 'global_context'",
            "tie_theta_phi_init: True, None",
        ],
        "digits_nl_stage1": ["places: None, 'stage1'"],
        "digits_nl_stage3": ["places: None, 'stage3'"],
        "digits_nl_space": ["axes: None, 'space'"],
        "digits_nl_time": ["axes: None, 'time'"],
    }.items(),
)
def test_a_variant_of_the_block_is_what_its_name_says(name, changes):
    differences = overrides.differences(
        get_recipe("digits_nl"), get_recipe(name)
    )
    prefix = "model.nonlocal_block."
    assert differences[1:] == [prefix + change for change in changes]


@pytest.mark.parametrize(
    ("name", "network"),
    {
        "digits_nl2": "c2d_nl2_small",
        "digits_nl3": "c2d_nl3_small",
        "digits_i3d_nl": "i3d_nl1_small",
    }.items(),
)
def test_a_variant_of_the_network_has_the_same_block(name, network):
    (_, changed) = overrides.differences(
        get_recipe("digits_nl"), get_recipe(name)
    )
    assert changed == f"model.name: 'c2d_nl1_small', '{network}'"
