"""Every task has all capabilities of the training program."""

import contextlib
import importlib.util
import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from tests.training.tasks import preempted_runs, shared_runs
from training import evaluate, predict, report, tasks, train
from training.io import cli
from training.loop import checkpointing
from training.runs.provenance import WeightSource
from training.runs.run_folder import RunFolder

TASKS = ("digits_image", "small")
ROOT = pathlib.Path(__file__).parents[3]


@pytest.fixture(scope="module", params=TASKS)
def trained(request, tmp_path_factory):
    """The arguments, run folder and exported version of a training."""
    if request.param == "small":
        folder = request.getfixturevalue("detector")
    else:
        folder = tmp_path_factory.mktemp(request.param)
        shared_runs.train_and_export(request.param, folder)
    options = json.loads((folder / "options.json").read_text())
    return options, RunFolder(folder / "run"), folder / "models"


def test_the_run_has_a_report_with_curves(trained):
    pytest.importorskip("matplotlib")
    _, run, _ = trained
    text = (run.path / "report.md").read_text("utf-8")
    assert text.startswith(f"# {run.read_recipe().name}\n")
    assert "(curves.png)" in text and "## What was trained" in text
    assert (run.path / "curves.png").is_file()


@pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="no TensorBoard"
)
def test_the_run_has_events_of_tensorboard(trained):
    _, run, _ = trained
    assert list((run.path / "tensorboard" / "train").glob("events.*"))


def test_the_card_has_the_license_of_the_start_weights(trained):
    _, run, out = trained
    source = WeightSource("start.keras", "nonlocal_tf")
    assert run.read_provenance() == [source]
    card = (out / "1" / "README.md").read_text("utf-8")
    assert "`start.keras`" in card and source.licence in card


def test_the_averaged_weights_are_exported_once(trained):
    _, run, out = trained
    task = tasks.of_recipe(run.read_recipe())
    assert task.export(run, out).name == "1"
    card = (out / "1" / "README.md").read_text("utf-8")
    assert "## Signatures" in card and "## Licence" in card
    assert (out / "README.md").read_text("utf-8") == card


def test_the_checkpoint_has_moving_averages(trained):
    _, run, _ = trained
    checkpoint = checkpointing.latest(run.checkpoints)
    arrays = checkpointing.read_arrays(checkpoint, "average")
    variables = checkpointing.read_arrays(checkpoint, "variable")
    assert arrays and len(arrays) <= len(variables)
    assert all(np.isfinite(array).all() for array in arrays)


def test_a_trained_run_has_nothing_to_do(trained, capsys):
    _, run, _ = trained
    train.main([f"--workdir={run.path}"])
    assert "nothing to do" in capsys.readouterr().out


def test_the_run_is_evaluated_by_its_folder(trained, capsys):
    _, run, _ = trained
    evaluate.main([f"--workdir={run.path}"])
    printed = capsys.readouterr().out
    assert "accuracy" in printed or "AP50" in printed
    (folder,) = (run.path / "tests").iterdir()
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    result = run.read_result()
    for name in metrics.keys() & {"accuracy", "box_AP", "mask_AP"}:
        scores = result.get("scores", result)
        assert metrics[name] == pytest.approx(scores[name], abs=1e-6)
    assert metrics["versions"]["python"]
    report.main([f"--workdir={run.path}"])
    assert folder.name in (run.path / "report.md").read_text("utf-8")


def test_an_export_target_is_checked_before_training(trained, tmp_path, capsys):
    options, _, out = trained
    arguments = [f"--workdir={tmp_path / 'new'}", f"--export={out / '1'}"]
    assert cli.run(train.main, [*options, *arguments]) == cli.USER_ERROR
    assert "which is a version" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def free_ports():
    """Return the addresses of two ports that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [
            f"127.0.0.1:{listener.getsockname()[1]}" for listener in sockets
        ]


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param("digits_image", marks=pytest.mark.slow),
        pytest.param("small", marks=pytest.mark.full),
    ],
)
def test_two_workers_train_a_run_that_the_chief_writes(recipe, tmp_path):
    options = shared_runs.options_of(recipe, tmp_path, "batch=4")
    ports, run = free_ports(), tmp_path / "run"
    processes = []
    for index in range(2):
        cluster = {
            "cluster": {"worker": ports},
            "task": {"type": "worker", "index": index},
        }
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.training.quick_train", *options]
                + [f"--workdir={run}"],
                cwd=ROOT,
                env={**os.environ, "TF_CONFIG": json.dumps(cluster)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    printed = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed
    assert "Worker 1 of 2 is done." in printed[1]
    assert "Resuming" not in printed[0] and "Try next" in printed[0]
    assert RunFolder(run).read_result() is not None
    rows = (run / "metrics.csv").read_text("utf-8").splitlines()
    assert len(rows) == 3  # names and two epochs: one writer


# In CI, test_exact_resume.py tests networks of images, and
# test_detector_training.py detectors of boxes.
@pytest.mark.full
@pytest.mark.parametrize("recipe", TASKS)
def test_a_preempted_run_ends_like_an_uninterrupted_one(
    recipe, tmp_path, monkeypatch, capsys
):
    options = shared_runs.options_of(
        recipe, tmp_path, "training.ema_decay=0.5", validation=False
    )
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    train.main([*options, f"--workdir={straight}"])
    preempted_runs.train_until_preempted(
        [*options, f"--workdir={stopped}"], monkeypatch
    )
    assert "Stopped by SIGTERM. To resume: " in capsys.readouterr().out
    train.main([f"--workdir={stopped}"])
    preempted_runs.assert_same_end(stopped, straight)


def test_a_saved_detector_finds_what_its_run_finds(detector, tmp_path):
    image = detector / "set" / "1.png"
    texts = []
    for model in (detector / "run", detector / "models"):
        folder = tmp_path / model.name
        options = [f"--model={model}", f"--out={folder}"]
        predict.main([str(image), *options, "--score-threshold=0"])
        text = (folder / "detections.json").read_text("utf-8")
        texts.append(text.partition("pictures")[2])
    counts = [text.count('"class"') for text in texts]
    assert counts[0] == counts[1] > 0
