"""The command of the ablations, with a runner that trains nothing."""

import json

import pytest

from tests.training.fake_training import COMMIT, Runner, result
from training.io import atomic_files, cli
from training.reproduce import ablations, jobs, model_zoo
from training.reproduce.ablation_tables import TABLES
from training.runs.run_folder import RunFolder


@pytest.fixture(autouse=True)
def published(tmp_path, monkeypatch):
    """The folder of published results, empty."""
    folder = tmp_path / "results"
    folder.mkdir()
    monkeypatch.setattr(model_zoo, "RESULTS", folder)
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


def test_a_table_is_trained_with_one_image_stage_a_seed(runner, workdir):
    ablations.main(command(workdir, "--seeds=0,5"))
    assert runner.ran[:2] == ["digits_image_seed0", "digits_image_seed5"]
    assert runner.ran[2:] == [
        f"{recipe}_seed{seed}"
        for seed in (0, 5)
        for recipe in (
            "digits_c2d",
            "digits_nl_space",
            "digits_nl_time",
            "digits_nl",
        )
    ]
    stage = RunFolder(workdir / "digits_nl_seed5" / "image_stage")
    assert stage.read_result()["seed"] == 5


def test_the_table_shows_what_was_reached_beside_the_paper(
    runner, workdir, capsys
):
    ablations.main(command(workdir))
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    reached = ["75.0", "%", "75.0", "%", "(0)"]
    paper = ["72.9", "/", "90.8"]
    assert ["space-only", "digits_nl_space", *reached, *paper] in rows


def test_finished_runs_are_not_trained_again(runner, workdir):
    ablations.main(command(workdir))
    (workdir / "digits_nl_seed0" / "result.json").unlink()
    runner.ran.clear()
    ablations.main(command(workdir))
    assert runner.ran == ["digits_nl_seed0"]  # and its image stage is there
    runner.ran.clear()
    ablations.main(command(workdir))
    assert runner.ran == []


def test_published_results_count_as_done(runner, workdir, published):
    path = published / "digits_nl_time_seed0.json"
    path.write_text(json.dumps(result("digits_nl_time", 0)))
    ablations.main(command(workdir))
    assert "digits_nl_time_seed0" not in runner.ran
    assert "digits_nl_space_seed0" in runner.ran


def test_a_failure_is_told_after_the_table(runner, workdir, capsys):
    runner.broken = {"digits_nl_space_seed0"}
    code = cli.run(ablations.main, command(workdir))
    out, error = capsys.readouterr()
    assert code == 2 and error.count("\n") == 1
    assert "Not trained to the end: digits_nl_space_seed0." in error
    assert "digits_nl_space  not run" in out and "75.0 %" in out


def test_a_stop_says_how_to_go_on(workdir, monkeypatch, capsys):
    def interrupted(queue, at_once):
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "run", interrupted)
    assert cli.run(ablations.main, command(workdir)) == cli.INTERRUPTED
    assert "the same command" in capsys.readouterr().out


def test_a_short_try_does_not_meet_whole_runs(runner, workdir, published):
    path = published / "digits_c2d_seed0.json"
    path.write_text(json.dumps(result("digits_c2d", 0)))
    ablations.main(command(workdir, "--steps=7"))
    assert runner.ran[:2] == [
        "digits_image_seed0_steps7",
        "digits_c2d_seed0_steps7",
    ]
    recipe = RunFolder(workdir / "digits_c2d_seed0_steps7").read_recipe()
    assert (recipe.steps, recipe.image_stage.steps) == (7, 7)


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
    results = model_zoo.read_results(published)
    assert results["digits_nl_space"][0]["accuracy"] == 0.75
    assert len(list(published.iterdir())) == 4


def test_publishing_alone_takes_what_is_finished(runner, workdir, published):
    ablations.main(command(workdir))
    (workdir / "digits_nl_seed0" / "result.json").unlink()
    runner.ran.clear()
    ablations.main(command(workdir, "--publish", "--no-train"))
    assert runner.ran == []
    assert len(list(published.iterdir())) == 3


def test_one_run_of_changed_code_keeps_no_other_from_being_published(
    runner, workdir, published, capsys
):
    ablations.main(command(workdir))
    run = RunFolder(workdir / "digits_c2d_seed0")
    run.write_result(result("digits_c2d", 0, commit=COMMIT + "+changes"))
    arguments = command(workdir, "--publish", "--no-train")
    assert cli.run(ablations.main, arguments) == 2
    assert "digits_c2d_seed0 is not from" in capsys.readouterr().err
    assert len(list(published.iterdir())) == 3


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
