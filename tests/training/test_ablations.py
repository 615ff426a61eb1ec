"""The command of the ablations, with a runner that trains nothing."""

import json

import pytest

from tests.training.fake_training import COMMIT, Runner, result
from training import ablations
from training.io import atomic_files, cli
from training.reproduce import (
    ability_summary,
    ability_table,
    jobs,
    model_zoo,
)
from training.reproduce.ablation_tables import TABLES
from training.runs.run_folder import RunFolder


@pytest.fixture(autouse=True)
def published(tmp_path, monkeypatch):
    """The folder of published results, empty."""
    folder = tmp_path / "results"
    folder.mkdir()
    monkeypatch.setattr(ability_table, "RESULTS", folder)
    monkeypatch.setattr(model_zoo, "update_page", lambda: None)
    monkeypatch.setattr(ability_summary, "update", lambda: None)
    return folder


@pytest.fixture
def runner(monkeypatch):
    fake = Runner()
    monkeypatch.setattr(jobs, "run", fake)
    return fake


@pytest.fixture
def workdir(tmp_path):
    return tmp_path / "runs"


def command(workdir, *arguments):
    return ["--table=2d", f"--workdir={workdir}", *arguments]


CELLS = [
    f"{recipe}_on_{ability}"
    for recipe in (
        "abilities_c2d",
        "abilities_nl1_space",
        "abilities_nl1_time",
        "abilities_nl1",
    )
    for ability in ("far_space", "far_time", "far_both")
]


def published_result(cell, seed=0):
    recipe, _, ability = cell.partition("_on_")
    return {**result(recipe, seed), "ability": ability}


def test_a_table_is_trained_seed_by_seed(runner, workdir):
    ablations.main(command(workdir, "--seeds=0,5"))
    assert runner.ran == [
        f"{cell}_seed{seed}" for seed in (0, 5) for cell in CELLS
    ]


def test_an_ability_is_chosen_from_a_table(runner, workdir):
    ablations.main(command(workdir, "--ability=far_time"))
    assert runner.ran == [f"{cell}_seed0" for cell in CELLS[1::3]]


def test_an_ability_that_is_in_no_table_is_refused(runner, workdir, capsys):
    arguments = command(workdir, "--ability=motion")
    assert cli.run(ablations.main, arguments) == 2
    assert "--table abilities" in capsys.readouterr().err


def test_a_file_for_a_workdir_is_refused(runner, tmp_path, capsys):
    path = tmp_path / "file"
    path.write_text("theirs")
    for option in ("--jobs=1", "--no-train"):
        assert cli.run(ablations.main, command(path, option)) == 2
        assert "--workdir as a folder" in capsys.readouterr().err


def test_a_result_of_other_settings_is_refused(runner, workdir, capsys):
    ablations.main(command(workdir))
    path = workdir / f"{CELLS[5]}_seed0" / "recipe.json"
    recipe = json.loads(path.read_text())
    path.write_text(json.dumps({**recipe, "steps": recipe["steps"] + 1}))
    for option in ("--jobs=1", "--publish"):
        arguments = command(workdir, "--no-train", option)
        assert cli.run(ablations.main, arguments) == 2
        error = capsys.readouterr().err
        assert f"{CELLS[5]}_seed0 holds a run with other settings" in error


def test_the_table_shows_what_was_reached_beside_the_paper(
    runner, workdir, capsys
):
    ablations.main(command(workdir, "--ability=far_time"))
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines]
    (row,) = (row for row in rows if row[0] == "space-only")
    assert row[1:6] == ["not", "run", "75.0", "%", "[70.5"]
    assert row[-6:] == ["(75.0)", "not", "run", "72.9", "/", "90.8"]
    assert lines[-1] == "Here: not all rows were run"


def test_finished_runs_are_not_trained_again(runner, workdir):
    ablations.main(command(workdir))
    (workdir / f"{CELLS[4]}_seed0" / "result.json").unlink()
    runner.ran.clear()
    ablations.main(command(workdir))
    assert runner.ran == [f"{CELLS[4]}_seed0"]
    runner.ran.clear()
    ablations.main(command(workdir))
    assert runner.ran == []


def test_published_results_count_as_done(runner, workdir, published):
    path = published / f"{CELLS[7]}_seed0.json"
    path.write_text(json.dumps(published_result(CELLS[7])))
    ablations.main(command(workdir))
    ran = [f"{cell}_seed0" for cell in CELLS]
    ran.remove(f"{CELLS[7]}_seed0")
    assert runner.ran == ran
    runner.ran.clear()
    ablations.main(command(workdir, "--anew"))
    assert runner.ran == [f"{CELLS[7]}_seed0"]  # the others are in the folder


def test_a_failure_is_told_after_the_table(runner, workdir, capsys):
    runner.broken = {f"{CELLS[3]}_seed0"}
    code = cli.run(ablations.main, command(workdir))
    out, error = capsys.readouterr()
    assert code == 2 and error.count("\n") == 1
    assert f"Not trained to the end: {CELLS[3]}_seed0." in error
    assert "space-only  not run" in out and "75.0 %" in out


def test_a_stop_says_how_to_go_on(workdir, monkeypatch, capsys):
    def interrupted(queue, at_once):
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "run", interrupted)
    assert cli.run(ablations.main, command(workdir)) == cli.INTERRUPTED
    assert "the same command" in capsys.readouterr().out


def test_a_short_try_does_not_meet_whole_runs(runner, workdir, published):
    path = published / f"{CELLS[0]}_seed0.json"
    path.write_text(json.dumps(published_result(CELLS[0])))
    ablations.main(command(workdir, "--steps=7"))
    assert runner.ran[0] == f"{CELLS[0]}_seed0_steps7"
    recipe = RunFolder(workdir / f"{CELLS[0]}_seed0_steps7").read_recipe()
    assert (recipe.steps, recipe.optimizer.warmup_steps) == (7, 6)


def test_one_command_at_a_time_is_at_work_in_a_folder(workdir, capsys):
    workdir.mkdir()
    with atomic_files.locked(workdir):
        code = cli.run(ablations.main, command(workdir))
    assert code == 2 and "Another process" in capsys.readouterr().err


def test_publishing_copies_results_for_the_model_zoo(
    runner, workdir, published, monkeypatch
):
    monkeypatch.setattr(ablations, "versions", lambda: {"commit": COMMIT})
    ablations.main(command(workdir, "--publish"))
    results = ability_table.read_results(published)
    assert results[CELLS[3]][0]["accuracy"] == 0.75
    assert len(list(published.iterdir())) == 12


def test_publishing_alone_takes_what_is_finished(
    runner, workdir, published, capsys
):
    ablations.main(command(workdir))
    (workdir / f"{CELLS[0]}_seed0" / "result.json").unlink()
    runner.ran.clear()
    capsys.readouterr()
    ablations.main(command(workdir, "--publish", "--no-train"))
    assert runner.ran == []
    assert len(list(published.iterdir())) == 11
    missing = f"Without a published result: {CELLS[0]}_seed0\n"
    assert missing in capsys.readouterr().out


def test_one_run_of_changed_code_keeps_no_other_from_being_published(
    runner, workdir, published, capsys
):
    ablations.main(command(workdir))
    run = RunFolder(workdir / f"{CELLS[0]}_seed0")
    run.write_result(result("abilities_c2d", 0, commit=COMMIT + "+changes"))
    arguments = command(workdir, "--publish", "--no-train")
    assert cli.run(ablations.main, arguments) == 2
    assert f"{CELLS[0]}_seed0 is not from" in capsys.readouterr().err
    assert len(list(published.iterdir())) == 11


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--publish"], "commit first"),
        (["--publish", "--steps=3"], "leave --steps out"),
    ],
)
def test_what_cannot_be_published_is_not_trained(
    arguments, message, runner, workdir, monkeypatch, capsys
):
    dirty = COMMIT + "+changes"
    monkeypatch.setattr(ablations, "versions", lambda: {"commit": dirty})
    assert cli.run(ablations.main, command(workdir, *arguments)) == 2
    assert message in capsys.readouterr().err
    assert runner.ran == []


def test_without_arguments_it_prints_the_tables_and_an_example(capsys):
    ablations.main([])
    printed = capsys.readouterr().out
    for name in TABLES:
        assert f"Table {name}: " in printed
    assert "not run" in printed and ablations.EXAMPLE in printed


@pytest.mark.parametrize("text", ["", "0,", "a", "-1"])
def test_seeds_that_are_none_are_refused(text, capsys):
    with pytest.raises(SystemExit):
        ablations.main([f"--seeds={text}"])
    assert "expected seeds such as 0,1,2" in capsys.readouterr().err
