import dataclasses
import json
import pathlib
import re

import pytest

from training.data.data_config import DataConfig
from training.io.user_error import UserError
from training.recipes import RECIPES, get_recipe, schema
from training.recipes.schema import Recipe, Reference, names_of
from training.reproduce import model_zoo
from training.reproduce.ablation_tables import TABLES

ROOT = pathlib.Path(__file__).parents[3]


def result(recipe="digits_c2d", seed=3):
    stage = {"recipe": "digits_image", "seed": seed, "train_seconds": 20.0}
    return {
        "chance": 0.1,
        "recipe": recipe,
        "seed": seed,
        "examples": 400,
        "accuracy": 0.25,
        "train_seconds": 100.0,
        "image_stage": stage,
        "versions": {
            "machine": "2 x chip",
            "python": "3.11",
            "onednn": "1",
            "commit": "c" * 40,
            "packages": {"tensorflow": "2.21.0", "keras": "3.15.1"},
        },
    }


def test_the_page_in_the_repository_is_what_the_results_say():
    page = model_zoo.render(model_zoo.read_results(model_zoo.RESULTS))
    assert (ROOT / "MODEL_ZOO.md").read_text("utf-8") == page


def test_results_come_from_committed_code():
    results = model_zoo.read_results(model_zoo.RESULTS)
    assert set(model_zoo.listed()) <= set(results) <= set(RECIPES)
    for run in (run for runs in results.values() for run in runs):
        assert all(len(commit) == 40 for commit in run["commits"]), run


def test_every_recipe_but_those_on_ones_own_videos_has_a_row():
    page = model_zoo.render({})
    for name in names_of(Recipe):
        recipe = get_recipe(name)
        elsewhere = recipe.data is not None and recipe.reference is None
        elsewhere |= name == "made_motion"  # in the table of weights
        assert (f"\n| {name} |" in page) == (not elsewhere)


def test_the_first_table_has_no_rows_of_ablations():
    digits = ["digits_image", "digits_c2d", "digits_i3d", "digits_nl"]
    assert model_zoo.listed() == digits
    assert "| digits_nl | | not run | | | `" in model_zoo.render({})


def test_rows_of_ablations_stand_beside_the_papers_numbers():
    runs = [{"accuracy": share, "examples": 400} for share in (0.25, 0.75)]
    page = model_zoo.ablations({"abilities_nl1_time_on_far_time": runs})
    section = page[page.index("### Table 2d: Axes") :]
    assert "Paper: C2D-50, five blocks; here one." in " ".join(
        section[2].split()
    )
    rows = section[4].splitlines()
    assert rows[3:5] == [
        "| space-only | not run | not run | not run | 72.9 / 90.8 |",
        "| time-only | not run | 50.0 % [46.5 to 53.5] (25.0, 75.0) | not run "
        "| 73.1 / 90.5 |",
    ]


def test_blocks_cost_less_than_3d_convolutions():
    """The other half of the claim of table 2e."""
    (head, *rows) = model_zoo.ablation_rows(TABLES["2e"], {})
    assert head[2] == "multiply-adds"
    c2d, i3d, none, blocks = (row[2].removesuffix(" million") for row in rows)
    assert float(c2d) < float(blocks) < float(i3d) and not none


def test_the_page_of_a_checkout_is_written(monkeypatch, tmp_path):
    module = tmp_path / "training" / "reproduce" / "model_zoo.py"
    monkeypatch.setattr(model_zoo, "__file__", str(module))
    model_zoo.update_page()  # none is there
    assert not list(tmp_path.iterdir())
    (tmp_path / "MODEL_ZOO.md").write_text("of before")
    model_zoo.update_page()
    page = (tmp_path / "MODEL_ZOO.md").read_text("utf-8")
    assert page == model_zoo.render(model_zoo.read_results())


def test_recipes_of_published_numbers_are_listed(monkeypatch):
    reference = Reference("table 2f", "NL I3D", "74.9 %", "8 GPUs", "90 h")
    recipe = dataclasses.replace(
        get_recipe("digits_nl"),
        name="kinetics_nl",
        data=DataConfig(),
        reference=reference,
    )
    recipes = {"digits_nl": RECIPES["digits_nl"]}
    monkeypatch.setattr(schema, "RECIPES", recipes)
    assert "published numbers" not in model_zoo.render({})
    recipes["kinetics_nl"] = lambda: recipe
    row = "| kinetics_nl | table 2f, NL I3D | 74.9 % | 8 GPUs, 90 h |"
    assert f"\n{row} not run | |\n" in model_zoo.render({})
    runs = {"kinetics_nl": [result("kinetics_nl")]}
    assert f"\n{row} 25.0 % [21.0 to 29.5] | |\n" in model_zoo.render(runs)


def test_published_weights_of_the_same_network_and_clips_are_linked():
    page = model_zoo.render({})
    (row,) = re.findall(r"\| k400_i3d_nl5_r50_32x4 \|.*", page)
    link = "[`k400_32x4_authors`](docs/pages/networks.md#published-weights)"
    assert row.endswith(f"| {link} |")


def test_a_row_has_the_accuracy_and_the_time_of_both_stages():
    page = model_zoo.render({"digits_c2d": [result()]})
    assert (
        "| digits_c2d | 10.0 % | 25.0 % (3) | 25.0 % [21.0 to 29.5] | 2.0 "
        in page
    )


def test_a_shared_image_stage_is_counted_once(tmp_path):
    for recipe in ("digits_c2d", "digits_nl"):
        path = tmp_path / f"{recipe}_seed3.json"
        path.write_text(json.dumps(result(recipe)))
    assert len(model_zoo.read_results(tmp_path)["digits_image"]) == 1


def test_a_result_under_another_name_is_refused(tmp_path):
    path = tmp_path / "digits_nl_seed3.json"
    path.write_text(json.dumps(result()))
    with pytest.raises(UserError, match="digits_c2d_seed3.json"):
        model_zoo.read_results(tmp_path)
