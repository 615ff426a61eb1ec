"""Trainings of the tables, and the publishing of their results."""

import pytest

from tests.training.fake_training import COMMIT, result
from training.io.user_error import UserError
from training.recipes import get_recipe, overrides
from training.reproduce import ablation_runs
from training.reproduce.ability_table import Cell
from training.reproduce.ablation_tables import TABLES

CELL = Cell("abilities_nl1", "long", 32)


@pytest.fixture
def run(tmp_path):
    """A training with nothing in its folder yet."""
    return ablation_runs.make_run(CELL, 4, tmp_path / "runs")


def test_cells_of_several_tables_are_trained_once(tmp_path):
    runs = ablation_runs.runs_of(["2d", "2a"], [0], tmp_path)
    cells = [run.cell for run in runs]
    assert cells[:12] == TABLES["2d"].cells
    added = [cell for cell in TABLES["2a"].cells if cell not in cells[:12]]
    assert cells[12:] == added and len(added) == 5


def test_a_training_is_a_recipe_with_the_settings_of_the_cell(run):
    assert run.name == "abilities_nl1_on_long_of_32_frames_seed4"
    changed = overrides.differences(get_recipe("abilities_nl1"), run.recipe)
    assert changed == [
        "seed: 0, 4",
        "data.clips.ability: 'far_both', 'long'",
        "data.clips.frames: None, 32",
    ]


@pytest.mark.parametrize("commits", [[COMMIT + "+changes"], [""], []])
def test_results_of_changed_code_are_not_published(commits, run, tmp_path):
    with run.folder.opened(run.recipe):
        run.folder.write_result(
            {**result("abilities_nl1", 4), "commits": commits}
        )
    with pytest.raises(UserError, match="not from committed code"):
        ablation_runs.publish(run, tmp_path)
    assert not list(tmp_path.glob("*.json"))


def test_a_published_result_stays(run, tmp_path):
    path = tmp_path / f"{run.name}.json"
    path.write_text("published before")
    with run.folder.opened(run.recipe):
        run.folder.write_result(result("abilities_nl1", 4))
    ablation_runs.publish(run, tmp_path)
    assert path.read_text() == "published before"
