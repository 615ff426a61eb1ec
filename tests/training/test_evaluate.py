import json
import sys
import types

import numpy as np
import pytest

from nonlocal_tf import preprocess
from tests.training import view_runs
from training import evaluate
from training.data import datasets
from training.data.sampling_config import ViewsConfig
from training.evaluation import video_scores
from training.io import cli
from training.io.user_error import UserError
from training.runs import run_model
from training.runs.run_folder import RunFolder
from training.tasks import video_evaluation


@pytest.mark.parametrize(
    "split", ["validation", pytest.param("test", marks=pytest.mark.full)]
)
def test_accuracy_is_counted_by_hand(tiny, split):
    scores = video_evaluation.evaluate_run(RunFolder(tiny[0]), split)
    model, recipe, _ = run_model.load_trained(RunFolder(tiny[0]))
    dataset = datasets.load(recipe.dataset, recipe.data, recipe.sampling)
    examples = [dataset.example(split, i) for i in range(64)]
    clips = preprocess.normalize(np.stack([e.pixels for e in examples]))
    best = np.argmax(model(clips, training=False), axis=-1)
    right = sum(int(b == e.label) for b, e in zip(best, examples, strict=True))
    assert scores.accuracy == pytest.approx(right / 64)
    assert scores.examples == 64


def test_evaluation_reproduces_the_reported_accuracy(tiny, capsys):
    evaluate.main([f"--workdir={tiny[0]}"])
    result = json.loads((tiny[0] / "result.json").read_text())
    printed = capsys.readouterr().out
    assert f"{100 * result['accuracy']:.1f} %" in printed
    assert f"{result['loss']:.4f}" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workdir=/nowhere"], "not a run folder"),
        (["--split=test"], "Give --workdir"),
        (["--workdir={run}", "--split=train"], "Unknown split 'train'"),
        (
            ["--workdir={run}", "--views=10x3"],
            "views expects a data set of videos",
        ),
        (["--workdir={run}", "--starts=slowfast"], "Give --views too"),
        (["--recompute={run}/recipe.json"], "is not a file of scores"),
        (["--recompute={run}/none.npz"], "There is no file"),
    ],
)
def test_errors_are_one_line(tiny, arguments, message, capsys):
    resolved = [text.format(run=tiny[0]) for text in arguments]
    assert cli.run(evaluate.main, resolved) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_without_arguments_it_lists_the_runs(tiny, capsys, monkeypatch):
    monkeypatch.chdir(tiny[0].parent.parent)
    evaluate.main([])
    printed = capsys.readouterr().out
    assert "runs/digits_nl" in printed and evaluate.EXAMPLE in printed


def figures_in(printed):
    """Return the rows of the printed table."""
    return [line for line in printed.splitlines() if line.startswith("  ")]


def test_metrics_are_recomputed_from_the_scores_file_alone(tiny, capsys):
    evaluate.main([f"--workdir={tiny[0]}"])
    table = figures_in(capsys.readouterr().out)
    folder = tiny[0] / "tests" / "test_middle"
    evaluate.main([f"--recompute={folder / 'scores.npz'}"])
    assert figures_in(capsys.readouterr().out) == table
    assert (folder / "confusion.png").read_bytes()[:4] == b"\x89PNG"
    metrics = json.loads((folder / "metrics.json").read_text())
    result = json.loads((tiny[0] / "result.json").read_text())
    for name in ("accuracy", "loss", "top5", "mean_class_accuracy"):
        assert metrics[name] == result[name]


def test_without_matplotlib_the_missing_extra_is_named(
    tiny, tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    evaluate.main([f"--workdir={tiny[0]}", f"--scores={tmp_path}"])
    assert "[viz]'" in capsys.readouterr().out
    assert not (tmp_path / "confusion.png").exists()


VIDEOS = [("train", 0, 5)] + [("test", k, 5 + k) for k in range(4)]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run on videos whose recipe has views, and its test videos."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data, paths = view_runs.write_lists(tmp_path / "data", VIDEOS)
    views = ViewsConfig(clips=2, crops=1, short_side_px=31, crop_px=27)
    return view_runs.make_run(
        tmp_path / "run", data, view_runs.sampled(24), views=views
    ), paths


def test_damaged_videos_are_counted_and_named(run, capsys):
    run, paths = run
    run_model.load_trained(run)  # indexes the videos
    paths[1].write_bytes(b"")
    evaluate.main([f"--workdir={run.path}"])
    printed = capsys.readouterr().out
    folder = run.path / "tests" / "test_2x1_31px_27"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (metrics["read"], metrics["listed"]) == (3, 4)
    right = metrics["accuracy"] * 3
    assert metrics["accuracy_of_listed"] == pytest.approx(right / 4)
    assert "of the 3 read" in printed and "of all 4 listed" in printed
    assert f"could not be read: {paths[1]}: the file is empty" in printed
    for place in (folder, run.path):
        assert paths[1].name in (place / "bad_videos.csv").read_text()


def test_a_run_is_evaluated_with_the_views_of_its_recipe(run):
    run, _ = run
    scores = video_evaluation.evaluate_run(run, "test")
    assert scores.views.startswith("2 clips x 1 crop of 27 px")
    stored = video_scores.load(run.path / "tests/test_2x1_31px_27/scores.npz")
    best = stored.scores.astype("float64").sum(axis=1).argmax(axis=1)
    assert scores.accuracy == np.mean(best == [0, 1, 2, 3])
    assert (scores.examples, scores.listed) == (4, 4)
    of_label = stored.scores.mean(axis=1)[range(4), range(4)]
    assert scores.loss == pytest.approx(-np.log(of_label).mean(), rel=1e-5)


def test_scores_are_reused_until_the_weights_change(run, capsys):
    run, _ = run
    evaluate.main([f"--workdir={run.path}"])
    before = (run.path / "tests/test_2x1_31px_27/scores.npz").read_bytes()
    table = figures_in(capsys.readouterr().out)
    evaluate.main([f"--workdir={run.path}"])
    printed = capsys.readouterr().out
    assert "has these scores" in printed and figures_in(printed) == table
    view_runs.save(run, run.read_recipe(), epoch=2)
    evaluate.main([f"--workdir={run.path}"])
    assert "(weights differ): starting over" in capsys.readouterr().out
    scores = run.path / "tests/test_2x1_31px_27/scores.npz"
    assert scores.read_bytes() != before


@pytest.mark.parametrize("name", ["tests", "tests/test_middle"])
def test_scores_are_not_written_through_a_link(tmp_path, monkeypatch, name):
    run = RunFolder(tmp_path / "run")
    (run.path / name).parent.mkdir(parents=True)
    (run.path / name).symlink_to(tmp_path / "else")
    (tmp_path / "else").mkdir()
    recipe = types.SimpleNamespace(dataset="digits", sampling=None)
    loaded = None, recipe, None
    monkeypatch.setattr(run_model, "load_trained", lambda run: loaded)
    monkeypatch.setattr(video_evaluation, "load_data", lambda *_: None)
    with pytest.raises(UserError, match="is a link"):
        video_evaluation.score_run(run, "test")
    assert not list((tmp_path / "else").iterdir())
