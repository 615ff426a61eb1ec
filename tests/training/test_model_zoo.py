import json
import pathlib

import pytest

from training import model_zoo
from training.errors import UserError
from training.recipes import RECIPES

ROOT = pathlib.Path(__file__).parent.parent.parent


def result(recipe="digits_c2d", seed=3):
    stage = {"recipe": "digits_image", "seed": seed, "train_seconds": 20.0}
    return {
        "chance": 0.1,
        "recipe": recipe,
        "seed": seed,
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
    assert set(results) == set(model_zoo.listed())
    for run in (run for runs in results.values() for run in runs):
        assert all(len(commit) == 40 for commit in run["commits"]), run


@pytest.mark.parametrize("recipe", ["digits_c2d", "digits_i3d", "digits_nl"])
def test_readme_quotes_the_results(recipe):
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    (row,) = (line for line in lines if f"(`{recipe}`)" in line)
    runs = model_zoo.read_results(model_zoo.RESULTS)[recipe]
    assert [run["seed"] for run in runs] == [0, 1, 2]
    figures = ", ".join(f"{100 * run['accuracy']:.1f}" for run in runs)
    assert f"| {figures} % |" in row


def test_every_recipe_has_a_row():
    page = model_zoo.render({})
    for name, build in RECIPES.items():
        reads_videos = build().data is not None
        assert (f"| {name} | | not run |" in page) == (not reads_videos)


def test_a_row_has_the_accuracy_and_the_time_of_both_stages():
    page = model_zoo.render({"digits_c2d": [result()]})
    assert "| digits_c2d | 10.0 % | 25.0 % (3) | 25.0 % | 2.0 to " in page


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
