import io
import json
import logging

import numpy as np
import pytest
import tensorflow as tf

from tests.training import video_run
from tests.training.evaluation.scored_videos import make_scores
from training import train
from training.evaluation import video_scores
from training.io import cli
from training.loop import preemption
from training.recipes import get_recipe, overrides
from training.runs.run_folder import RunFolder
from training.tasks import cross_validation, train_run

SCORES = [0.5, 0.75, 1.0]


@pytest.fixture
def calls(monkeypatch):
    """Recipes and folders that are trained, with scores made up."""
    calls: list[tuple] = []

    def train_nothing(recipe, run, *_):
        run.path.mkdir(parents=True)
        score = SCORES[len(calls)]
        calls.append((recipe, run.path))
        return {"accuracy": score, "examples": 4 + len(calls)}

    monkeypatch.setattr(train, "train", train_nothing)
    return calls


def test_each_fold_has_a_run_folder(calls, tmp_path):
    workdir = tmp_path / "runs"
    train.main(["--recipe=finetune", f"--workdir={workdir}", "--folds=3"])
    data = [(recipe.data.folds, recipe.data.fold) for recipe, _ in calls]
    assert data == [(3, 0), (3, 1), (3, 2)]
    paths = [path for _, path in calls]
    assert paths == [workdir / f"fold{fold}" for fold in range(3)]


def test_mean_and_spread_of_folds_are_written(calls, tmp_path, capsys):
    workdir = tmp_path / "runs"
    train.main(["--recipe=finetune", f"--workdir={workdir}", "--folds=3"])
    record = json.loads((workdir / "folds.json").read_text())
    assert record["metric"] == "accuracy" and record["folds"] == SCORES
    np.testing.assert_allclose(record["mean"], np.mean(SCORES))
    deviation = record["standard_deviation"]
    np.testing.assert_allclose(deviation, np.std(SCORES, ddof=1))
    printed = capsys.readouterr().out
    assert "50.0 % of 5" in printed and "75.0 %, of folds" in printed


def test_classes_are_counted_over_the_tests_of_all_folds(tmp_path):
    recipe = overrides.override(
        get_recipe("finetune"), ["sampling.frame_stride=3"]
    )
    labels = [[0, 1, 0], [1, 1]]
    predicted = [[0, 1, 1], [1, 0]]
    for fold in range(2):
        run = RunFolder(tmp_path / f"fold{fold}")
        folder = run.path / "tests" / "test_1xframe_mmaction2"
        folder.mkdir(parents=True)
        run.recipe_path.write_text(overrides.to_json(recipe))
        scores = np.eye(2)[predicted[fold]][:, None]
        scored = make_scores(scores, np.array(labels[fold]))
        video_scores.save(folder / "scores.npz", scored)
    results = [{"accuracy": 2 / 3, "examples": 3}]
    results.append({"accuracy": 1 / 2, "examples": 2})
    text = cross_validation.finish(tmp_path, results)
    first, second = json.loads((tmp_path / "classes.json").read_text())
    assert (first["support"], second["support"]) == (2, 3)
    assert (first["precision"], first["recall"]) == (1 / 2, 1 / 2)
    assert (second["precision"], second["recall"]) == (2 / 3, 2 / 3)
    assert "66.7 %     66.7 %" in text


@pytest.mark.parametrize(("folds", "messages"), [(1, 2), (5, 1)])
def test_functions_of_folds_are_not_warned_of(folds, messages):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    tf.get_logger().addHandler(handler)

    def score(x):
        return x + 1

    try:
        with cross_validation.own_functions(folds):
            for _ in range(5):  # TensorFlow warns of the fifth
                tf.function(lambda x: score(x))(1)
            tf.get_logger().warning("another warning")
    finally:
        tf.get_logger().removeHandler(handler)
    lines = stream.getvalue().splitlines()
    assert len(lines) == messages and lines[-1] == "another warning"


@pytest.mark.parametrize(
    "options, message",
    [
        (["--recipe=digits_nl"], "class folders"),
        (["--recipe=finetune", "--export=models"], "--export or --folds"),
        (["--recipe=abilities_nl1_time"], "folds"),
    ],
)
def test_folds_of_other_data_are_refused(options, message, tmp_path, capsys):
    arguments = [*options, f"--workdir={tmp_path / 'runs'}", "--folds=2"]
    assert cli.run(train.main, arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_folder_of_one_run_is_no_folder_of_folds(tmp_path, capsys):
    (tmp_path / "recipe.json").write_text("{}")
    arguments = ["--recipe=finetune", f"--workdir={tmp_path}", "--folds=2"]
    assert cli.run(train.main, arguments) == 2
    assert "folder of one run" in capsys.readouterr().err


@pytest.mark.full
@pytest.mark.usefixtures("own_cache")
def test_the_same_command_resumes_the_folds(tmp_path, capsys, monkeypatch):
    videos = video_run.write_videos(tmp_path / "videos")
    arguments = [f"--set=data.root={videos}", "--folds=2", *video_run.OPTIONS]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train.main([*arguments, f"--workdir={whole}"])
    finish = train_run._finish

    def stop_before_fold_1(task, recipe, *rest):
        if recipe.data.fold == 1:
            raise preemption.Preempted
        return finish(task, recipe, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(train_run, "_finish", stop_before_fold_1)
        train.main([*arguments, f"--workdir={parts}"])
    stopped = capsys.readouterr().out
    assert "--recipe finetune" in stopped and "--folds 2" in stopped
    assert not (parts / "folds.json").exists()
    train.main([*arguments, f"--workdir={parts}"])
    records = [(p / "folds.json").read_text() for p in (whole, parts)]
    assert records[0] == records[1]
