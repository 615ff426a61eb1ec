"""The train command on small runs."""

import csv
import json
import os
import shutil

import pytest

from tests.training.conftest import TINY
from training import train
from training.exporting import saved_model
from training.io import cli
from training.recipes import RECIPES
from training.runs import run_model, run_report
from training.runs.run_folder import RunFolder


def test_a_run_folder_has_all_files(tiny):
    run, _ = tiny
    names = {path.name for path in run.iterdir()}
    assert names == {
        ".lock",
        "checkpoints",
        "classes.json",
        "curves.png",
        "data.json",
        "image_stage",
        "metrics.csv",
        "recipe.json",
        "report.md",
        "result.json",
        "weights.json",
        "tensorboard",
        "tests",
        "versions.json",
    }
    assert list((run / "tensorboard").rglob("events.out.tfevents.*"))


def test_metrics_have_a_row_an_epoch(tiny):
    run, _ = tiny
    with open(run / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert all(float(row["val_loss"]) > 0 for row in rows)
    assert float(rows[-1]["learning_rate"]) == 0.0


def test_a_last_epoch_may_have_fewer_steps(tiny):
    run = RunFolder(tiny[0] / "image_stage")
    rows = run_report.read_metrics(run)
    assert [row["step"] for row in rows] == [2, 3]
    assert rows[-1]["learning_rate"] == 0.0
    model, *_ = run_model.load_trained(run)
    assert int(model.optimizer.iterations) == 3
    text = (run.path / "report.md").read_text()
    assert "2 epochs of 2 steps, the last of 1" in text
    assert "Finished: 3 steps" in text


def test_result_has_metrics_and_data(tiny):
    run, _ = tiny
    result = json.loads((run / "result.json").read_text())
    assert result["recipe"] == "digits_nl"
    assert (result["split"], result["examples"]) == ("test", 64)
    assert 0 <= result["accuracy"] <= 1
    assert result["chance"] == 0.1
    assert result["image_stage"]["recipe"] == "digits_image"
    assert result["versions"]["packages"]["keras"]


def test_optimizer_took_exactly_the_steps(tiny):
    run, _ = tiny
    model, *_ = run_model.load_trained(RunFolder(run))
    assert int(model.optimizer.iterations) == 4


def test_a_finished_run_is_not_trained_again(tiny, capsys):
    run, exported = tiny
    before = (run / "result.json").stat().st_mtime_ns
    train.main(
        [
            "--recipe=digits_nl",
            f"--workdir={run}",
            f"--export={exported.parent}",
            *TINY,
        ]
    )
    printed = capsys.readouterr().out
    assert "is trained: nothing to do" in printed
    assert "test accuracy" in printed
    assert (run / "result.json").stat().st_mtime_ns == before
    assert saved_model.versions(exported.parent) == [exported]


def test_the_summary_suggests_next_commands(tiny, capsys):
    run, exported = tiny
    train.main(
        ["--recipe=digits_nl", f"--workdir={run}", *TINY]
        + [f"--export={exported.parent}"]
    )
    printed = capsys.readouterr().out
    for word in ("chance", "10.0 %", str(exported), "predict --model"):
        assert word in printed
    for command in ("visualize", "evaluate", "app", "serve_config"):
        assert f" {command} --" in printed


def test_a_rising_validation_loss_is_in_the_summary(tiny, tmp_path, capsys):
    run = RunFolder(tmp_path / "run")
    shutil.copytree(tiny[0], run.path)
    rows = run_report.read_metrics(run)
    run.write_metrics([rows[0] | {"val_loss": 2.0}, rows[1] | {"val_loss": 3}])
    train.main([f"--workdir={run.path}"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "validation loss lowest at epoch 1 (2), 50.0 % above it" in printed


def test_the_run_folder_alone_suffices_to_resume(tiny, capsys):
    train.main([f"--workdir={tiny[0]}"])
    printed = capsys.readouterr().out
    assert "is trained: nothing to do" in printed
    # Not exported here, so no command that needs a SavedModel.
    assert "app --model" not in printed
    assert f"predict --model {tiny[0]} --sample 0" in printed
    assert str(tiny[0] / "report.md") in printed
    assert "--out savedmodels/digits_nl" in printed


def test_without_a_block_visualize_is_not_suggested(tiny, capsys):
    train.main([f"--workdir={tiny[0] / 'image_stage'}"])
    assert "training.visualize" not in capsys.readouterr().out


def test_without_arguments_it_lists_recipes_and_an_example(capsys):
    train.main([])
    printed = capsys.readouterr().out
    assert all(name in printed for name in RECIPES)
    assert train.EXAMPLE in printed


def test_print_shows_the_resolved_recipe(capsys, tmp_path):
    train.main(["--recipe=digits_nl", "--print", "--set=batch=7"])
    assert json.loads(capsys.readouterr().out)["batch"] == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed=1"], "Give --recipe NAME"),
        (["--recipe=digits_nl", "--seed=-1"], "Expected seed from 0"),
        (["--recipe=digits_ml"], "Did you mean 'digits_nl'"),
        (["--recipe=digits_nl", "--set=bach=3"], "Did you mean 'batch'"),
        (
            ["--recipe=digits_nl", "--set=model.name=c2d"],
            "Unknown model 'c2d'",
        ),
        (
            ["--recipe=digits_nl", "--set=model.name=c2d_small"],
            "nonlocal_block",
        ),
        (
            ["--recipe=digits_nl", "--set=model.nonlocal_block.pairwise=dot"],
            "Unknown pairwise function",
        ),
        (
            ["--recipe=digits_nl", "--set=dataset=digits"],
            "Unknown dataset 'digits'",
        ),
        (
            ["--recipe=digits_nl", "--set=model.weights=x.h5"],
            "from its image_stage or from model.weights",
        ),
    ],
)
def test_errors_are_one_line_and_exit_2(arguments, message, tmp_path, capsys):
    workdir = tmp_path / "run"
    code = cli.run(train.main, [*arguments, f"--workdir={workdir}"])
    captured = capsys.readouterr()
    assert code == 2
    assert captured.err.startswith("error: ") and message in captured.err
    assert captured.err.count("\n") == 1
    assert not workdir.exists()  # free for the corrected command


def test_an_invalid_export_is_rejected_before_training(tmp_path, capsys):
    (tmp_path / "file").touch()
    code = cli.run(
        train.main,
        ["--recipe=digits_nl", f"--workdir={tmp_path / 'run'}"]
        + [f"--export={tmp_path / 'file'}"],
    )
    assert code == 2 and "File exists" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_workdir_of_another_recipe_is_rejected(tiny, capsys):
    run, _ = tiny
    code = cli.run(train.main, ["--recipe=digits_c2d", f"--workdir={run}"])
    assert code == 2
    assert "holds a run of recipe 'digits_nl'" in capsys.readouterr().err


def test_a_missing_report_is_written_later(tiny, tmp_path):
    run = shutil.copytree(tiny[0], tmp_path / "run")
    (report := run / "report.md").unlink()
    train.main([f"--workdir={run}"])
    assert "digits_nl" in report.read_text()


@pytest.mark.skipif(
    not os.path.isdir("/sys"), reason="needs a folder that nobody can write to"
)
def test_missing_permission_is_a_one_line_error(capsys):
    code = cli.run(
        train.main, ["--recipe=digits_nl", "--workdir=/sys/nonlocal"]
    )
    error = capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1
    assert "permission" in error.lower()
