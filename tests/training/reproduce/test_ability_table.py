import pytest

from tests.training import fake_training, whole_runs
from training import ablations
from training.data.ability_config import ABILITIES
from training.io import cli
from training.io.user_error import UserError
from training.recipes import abilities, get_recipe, overrides
from training.reproduce import ability_table, ablation_runs, accuracy
from training.reproduce.ability_table import Cell


def result(recipe="abilities_nl1", ability="far_time", seed=0, **changes):
    values = {"examples": 400, "accuracy": 0.95, "loss": 0.25}
    values["train_seconds"] = 61.0
    run = {"recipe": recipe, "ability": ability, "seed": seed, **values}
    return {**run, **changes}


def cell_of(runs, recipe="abilities_nl1", ability="far_time"):
    rows = ability_table.rows({Cell(recipe, ability).name: runs})
    labels = [row[0] for row in rows]
    row = rows[labels.index(abilities.NETWORKS[recipe][0])]
    return row[rows[0].index(ability)]


def test_every_network_of_the_recipes_has_a_row():
    assert set(ability_table.SEES) == set(abilities.NETWORKS)
    known = {
        ability for seen in ability_table.SEES.values() for ability in seen
    }
    assert known <= set(ABILITIES)


@pytest.mark.parametrize(
    ("recipe", "ability", "least", "most"),
    [
        ("abilities_c2d", "motion", 0, 0.55),
        ("abilities_i3d", "motion", 0.9, 1),
        ("abilities_nl1_time", "far_both", 0, 0.55),
        ("abilities_nl1", "two_hops", 0, 1),
        ("abilities_c2d", "appearance", 0.9, 1),
        ("abilities_c2d", "all", 0.9 * 3.5 / 6, 3.5 / 6 + 0.05),
        ("abilities_nl1", "all", 0.9 * 5 / 6, 5.5 / 6 + 0.05),
        ("abilities_i3d_nl2", "all", 0.9, 1),
    ],
)
def test_expected_accuracy_is_that_of_what_is_seen(
    recipe, ability, least, most
):
    expected = ability_table.expected(recipe, ability)
    assert expected == pytest.approx((least, most))
    assert ability_table.is_blind(recipe, ability) == (most == 0.55)


def test_a_cell_has_the_mean_and_the_interval_of_all_clips():
    runs = [result(), result(seed=1, accuracy=0.97, examples=100)]
    low, high = accuracy.interval(477, 500)
    assert cell_of(runs) == f"95.4 % [{100 * low:.1f} to {100 * high:.1f}]"


def test_each_training_is_listed_with_its_cross_entropy():
    runs = [result(), result(seed=1, accuracy=0.5, loss=0.6931)]
    lines = ability_table.section(
        {Cell("abilities_nl1", "far_time").name: runs}
    )
    row = "| C2D, 1 block | far_time | 95.0 % (0), 50.0 % (1) | 0.250, 0.693 "
    assert any(f"{row}| 61 to 61 s |" in line for line in lines)


def test_cells_that_are_not_what_is_expected_are_marked():
    assert cell_of([result(accuracy=0.89)]).endswith("] (!)")
    assert cell_of([result(accuracy=0.91)]).endswith("]")
    blind = {"recipe": "abilities_c2d"}
    seen = cell_of([result(accuracy=0.56, **blind)], **blind)
    assert seen.startswith("no: 56.0 %") and seen.endswith("(!)")
    assert cell_of([], **blind) == "no: not run"


def test_the_matrix_is_all_recipes_on_all_abilities(tmp_path):
    runs = ablation_runs.runs_of(["abilities"], [0, 1], tmp_path)
    assert len({run.name for run in runs}) == 2 * 9 * 8


def test_rows_differ_in_their_network_alone():
    base = get_recipe("abilities_c2d")
    for name in abilities.NETWORKS:
        changed = overrides.differences(base, get_recipe(name))
        fields = {line.split(":")[0].split(".")[0] for line in changed}
        assert fields <= {"name", "description", "model"}


def test_results_are_read_by_cell_in_seed_order(tmp_path):
    for seed in (10, 2):
        cell = result(seed=seed)
        name = f"abilities_nl1_on_far_time_seed{seed}.json"
        (tmp_path / name).write_text(str(cell).replace("'", '"'))
    read = ability_table.read_results(tmp_path)
    assert [run["seed"] for run in read["abilities_nl1_on_far_time"]] == [2, 10]
    (tmp_path / "other.json").write_text(str(result()).replace("'", '"'))
    with pytest.raises(UserError, match="to be called abilities_nl1_on_far"):
        ability_table.read_results(tmp_path)


def test_a_published_result_is_short_and_read_again(tmp_path):
    run = ablation_runs.make_run(Cell("abilities_nl1", "long", 16), 4, tmp_path)
    more = {"confusion": [[4, 0], [2, 2]]}
    whole = {**fake_training.result("abilities_nl1", 4), **more}
    with run.folder.opened(run.recipe):
        run.folder.write_result(whole)
    ablation_runs.publish(run, tmp_path)
    (cell,) = ability_table.read_results(tmp_path)[run.cell.name]
    assert cell.keys() < {"ability", "frames", *whole}
    assert (cell["ability"], cell["frames"], cell["seed"]) == ("long", 16, 4)
    assert cell["accuracy"] == 0.75


def test_the_table_is_printed_without_training(tmp_path, capsys):
    arguments = ["--table=abilities", "--no-train", f"--workdir={tmp_path}"]
    assert cli.run(ablations.main, arguments) == 0
    printed = capsys.readouterr().out
    assert "C2D, 1 block in time" in printed and "far_space" in printed


@pytest.mark.parametrize(
    ("recipe", "ability", "steps"),
    [
        pytest.param("abilities_i3d", "motion", 100, marks=pytest.mark.slow),
        *(
            pytest.param(*cell, marks=pytest.mark.full)
            for cell in (
                ("abilities_nl1", "far_both", 400),
                ("abilities_nl1_time", "far_both", 100),
            )
        ),
    ],
)
def test_a_trained_cell_is_as_expected(recipe, ability, steps, tmp_path):
    # A change that blinds a network, or lets it see what it cannot, ends here.
    words = [
        f"--set=data.clips.ability={ability}",
        f"--set=steps={steps}",
        f"--set=epoch_steps={steps}",
    ]
    run = whole_runs.train(recipe, tmp_path, *words)
    least, most = ability_table.expected(recipe, ability)
    assert least <= whole_runs.accuracy(run) <= most
