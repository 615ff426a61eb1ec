"""The tables of the paper, against the paper and against the recipes."""

import pytest

from training.recipes import RECIPES, abilities, get_recipe, overrides
from training.reproduce import ablation_tables
from training.reproduce.ablation_tables import TABLES

# Table 2 of the paper: top-1 and top-5 of each row, from top to bottom. In 2f
# and 2g, what 2c has of C2D with blocks, and nothing.
PAPER = {
    "2a": "71.8 89.7  72.5 90.2  72.7 90.5  72.9 90.3  72.8 90.5",
    "2b": "71.8 89.7  72.7 90.3  72.9 90.4  72.7 90.5  72.3 90.1",
    "2c": "71.8 89.7  72.7 90.5  73.8 91.0  74.3 91.2",
    "2d": "71.8 89.7  72.9 90.8  73.1 90.5  73.8 91.0",
    "2e": "73.1 91.0  74.1 91.2  74.4 91.1  75.1 91.7",
    "2f": "71.8 89.7  73.3 90.7  73.8 91.0  74.9 91.6",
    "2g": "73.8 91.2  74.9 91.7  76.5 92.6",
}


@pytest.mark.parametrize("name", TABLES)
def test_numbers_are_the_papers(name):
    rows = [(row.top1, row.top5) for row in TABLES[name].rows]
    numbers = [float(number) for number in PAPER[name].split()]
    paper = [number for row in rows for number in row if number is not None]
    assert paper == numbers


def test_every_row_is_a_registered_recipe_and_every_variant_a_row():
    recipes = {cell.recipe for table in TABLES.values() for cell in table.cells}
    assert recipes <= set(RECIPES)
    assert set(abilities.VARIANTS) <= recipes


@pytest.mark.parametrize(
    ("name", "changes"),
    {
        "abilities_nl1_gaussian": ["pairwise: None, 'gaussian'"],
        "abilities_nl1_dot_product": ["pairwise: None, 'dot_product'"],
        "abilities_nl1_concatenation": ["pairwise: None, 'concatenation'"],
        "abilities_nl1_efficient": ["pairwise: None, 'efficient'"],
        "abilities_nl1_global_context": ["pairwise: None, 'global_context'"],
        "abilities_nl1_stage1": ["places: None, 'stage1'"],
        "abilities_nl1_stage3": ["places: None, 'stage3'"],
        "abilities_nl1_stage4": ["places: None, 'stage4'"],
        "abilities_nl1_space": ["axes: None, 'space'"],
        "abilities_nl1_time": ["axes: None, 'time'"],
    }.items(),
)
def test_a_variant_of_the_block_is_what_its_name_says(name, changes):
    differences = overrides.differences(
        get_recipe("abilities_nl1"), get_recipe(name)
    )
    prefix = "model.nonlocal_block."
    assert differences[1:] == [prefix + change for change in changes]


def results(name, accuracy):
    """Results of all cells of a table; `accuracy` of a cell."""
    return {
        cell.name: [{"accuracy": accuracy(cell), "examples": 1000}]
        for cell in TABLES[name].cells
    }


@pytest.mark.parametrize("name", TABLES)
def test_no_claim_holds_where_all_networks_are_alike(name):
    alike = results(name, lambda cell: 0.75)
    verdict = ablation_tables.verdict(TABLES[name], alike)
    assert verdict == "it does not hold"
    del alike[TABLES[name].cells[1].name]
    verdict = ablation_tables.verdict(TABLES[name], alike)
    assert verdict == "not all rows were run"


# What each network would have to reach for the claims; where none stands, 1.
REACHED = {
    "2a": {"abilities_c2d": 0.5, "abilities_nl1_efficient": 0.6},
    "2b": {"abilities_c2d": 0.5, "abilities_nl1_stage4": 0.96},
    "2c": {"abilities_c2d": 0.5, "abilities_nl1": 0.7, "abilities_nl2": 0.8},
    "2d": {
        "abilities_c2d": 0.5,
        "abilities_nl1_space": 0.6,
        "abilities_nl1_time": 0.6,
    },
    "2e": {"abilities_i3d": 0.6},
    "2f": {"abilities_i3d": 0.6, "abilities_nl2": 0.7},
}


# What the claim is not about.
UNUSED = {"abilities_nl1_efficient"}


@pytest.mark.parametrize("name", REACHED)
def test_a_claim_holds_for_such_results(name):
    table, reached = TABLES[name], REACHED[name]
    holding = results(name, lambda cell: reached.get(cell.recipe, 1))
    assert ablation_tables.verdict(table, holding) == "it holds"
    for recipe in set(reached) - UNUSED:
        wrong = {
            cell.name: [{"accuracy": 1.0, "examples": 1000}]
            for cell in table.cells
            if cell.recipe == recipe
        }
        if recipe == "abilities_nl1_stage4":
            wrong = {
                name: [{"accuracy": 0.9, "examples": 1000}] for name in wrong
            }
        verdict = ablation_tables.verdict(table, {**holding, **wrong})
        assert verdict == "it does not hold", recipe


def test_longer_clips_are_better_where_all_networks_gain_from_them():
    longest = results("2g", lambda cell: 0.5 if cell.frames else 1.0)
    assert ablation_tables.verdict(TABLES["2g"], longest) == "it holds"
    shorter = results("2g", lambda cell: 1.0 if cell.frames == 32 else 0.5)
    verdict = ablation_tables.verdict(TABLES["2g"], shorter)
    assert verdict == "it does not hold"
    for row in TABLES["2g"].rows:
        cell = TABLES["2g"].cell(row, ablation_tables.LENGTHS[-1])
        no_gain = {cell.name: [{"accuracy": 0.5, "examples": 1000}]}
        verdict = ablation_tables.verdict(TABLES["2g"], {**longest, **no_gain})
        assert verdict == "it does not hold", row.label
