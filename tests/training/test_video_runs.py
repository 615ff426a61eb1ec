"""Training on a folder of videos, through the commands."""

import csv
import json

import numpy as np
import pytest

from tests.training import video_run
from tests.training.data import films, fixtures
from tests.training.data.small_datasets import write_frames as touch
from training import evaluate, predict, train, visualize
from training.data import datasets
from training.evaluation import video_scores
from training.io import cli
from training.loop import run_callbacks
from training.runs import run_model
from training.runs.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def videos(tmp_path):
    """Video files with spaces, non-ASCII letters and upper case in names."""
    root = video_run.write_videos(tmp_path / "my videos")
    for path in root.rglob("*.mkv"):
        path.rename(path.with_suffix(".MKV"))
    return root


def test_a_folder_of_videos_becomes_a_model(videos, tmp_path, capsys):
    run, out = tmp_path / "run", tmp_path / "model"
    arguments = [
        f"--set=data.root={videos}",
        f"--workdir={run}",
        *video_run.OPTIONS,
    ]
    (videos / "jump" / "read me.txt").write_text("about the films")
    train.main([*arguments, f"--export={out}", "--verbose=2"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Reading folder and building the network."
    assert "note: skipped 1 file without video content: 1 .txt" in lines
    assert "Epoch 1/2: 2 steps (the first builds the graph" in "\n".join(lines)
    ends = [line for line in lines if line.startswith("Epoch 2/2, ")]
    assert len(ends) == 1 and ": accuracy " in ends[0]
    assert any(line.startswith("1 epoch left, about ") for line in lines)
    result = json.loads((run / "result.json").read_text())
    assert result["examples"] == 2
    # Of 9 to 13 frames, a clip of two has the first and the last.
    stride = RunFolder(run).read_recipe().sampling.frame_stride
    assert 8 <= stride <= 12
    printed = "\n".join(lines)
    assert f"sampling.frame_stride={stride}: clips of 2 frames" in printed
    assert "does not see the order of frames" not in printed
    train.main(arguments)  # the same run, although its stride is set to auto
    assert "is trained: nothing to do" in capsys.readouterr().out
    assert (out / "1" / "assets" / "classes.txt").read_text().split("\n") == [
        "jump",
        "walk slöwly",
        "",
    ]
    evaluate.main([f"--workdir={run}"])
    capsys.readouterr()
    predict.main([f"--model={out}", "--sample=1"])
    sample = capsys.readouterr().out
    assert "labelled walk slöwly" in sample
    recipe = RunFolder(run).read_recipe()
    dataset = datasets.load(recipe.dataset, recipe.data, recipe.sampling)
    video = dataset.videos("test")[1]
    predict.main([f"--model={out}", video.path])
    printed = capsys.readouterr().out
    assert printed.splitlines()[2:] == sample.splitlines()[2:]
    (videos / "bad.mp4").write_text("no video")
    scored = video_scores.load(run / "tests" / "test_middle" / "scores.npz")
    for model in (run, out):
        written = tmp_path / "all.json"
        predict.main([f"--model={model}", str(videos), f"--out={written}"])
        rows = json.loads(written.read_text("utf-8"))["videos"]
        assert [row["path"] for row in rows if "error" in row] == [
            f"{videos}/bad.mp4"
        ]
        scores = {row["path"]: row.get("scores") for row in rows}
        for path, expected in zip(scored.paths, scored.scores, strict=True):
            np.testing.assert_allclose(scores[path], expected[0], atol=1e-5)
    image = tmp_path / "attention.png"
    arguments = [f"--workdir={run}", "--query=1,20,30", f"--out={image}"]
    visualize.main([video.path, "--at=0.12", *arguments])
    assert image.read_bytes()[:4] == b"\x89PNG"
    assert "in the video" in capsys.readouterr().out
    (videos / "no video.mp4").write_text("")
    arguments = [f"--model={out}", str(videos / "no video.mp4")]
    assert cli.run(predict.main, arguments) == 2
    assert "no video.mp4: the file is empty" in capsys.readouterr().err


# In CI, the next but one lists them too.
@pytest.mark.full
def test_bad_videos_of_a_run_are_listed_in_its_folder(videos, tmp_path):
    (videos / "jump" / "empty.mp4").write_bytes(b"")
    run = tmp_path / "run"
    train.main(
        [f"--set=data.root={videos}", f"--workdir={run}", *video_run.OPTIONS]
        + ["--set=data.max_bad_share=0.1"]
    )
    with open(run / "bad_videos.csv", newline="") as file:
        (bad,) = csv.DictReader(file)
    assert bad["path"].endswith("jump/empty.mp4")


def test_too_many_bad_videos_are_a_one_line_error(videos, tmp_path, capsys):
    (videos / "jump" / "empty.mp4").write_bytes(b"")
    run = tmp_path / "run"
    arguments = [
        f"--set=data.root={videos}",
        f"--workdir={run}",
        *video_run.OPTIONS,
    ]
    assert cli.run(train.main, arguments) == 2
    error = capsys.readouterr().err
    assert "1 of 11 videos cannot be read" in error and error.count("\n") == 1
    assert not run.exists()


@pytest.mark.slow
def test_videos_damaged_during_training_are_listed_and_stop_it(
    videos, tmp_path, capsys, monkeypatch
):
    run = tmp_path / "run"
    real = run_model.build_model

    def spoil_then_build(recipe, dataset):
        if run.exists():  # just before training
            for video in dataset.videos("train"):
                open(video.path, "wb").close()
        return real(recipe, dataset)

    monkeypatch.setattr(run_model, "build_model", spoil_then_build)
    arguments = [
        f"--set=data.root={videos}",
        f"--workdir={run}",
        *video_run.OPTIONS,
    ]
    assert cli.run(train.main, arguments) == 2
    assert "more than data.max_bad_share" in capsys.readouterr().err
    with open(run / "bad_videos.csv", newline="") as file:
        reasons = {row["reason"] for row in csv.DictReader(file)}
    assert reasons == {"the file is empty"}


@pytest.mark.full
def test_multi_label_videos(tmp_path):
    data = fixtures.make("charades_frames", tmp_path / "data", None, touch)
    settings = [
        f"--set=data.{name}={value}"
        for name, value in vars(data).items()
        if isinstance(value, str) and value != " " and name != "decoder"
    ]
    # The fixture's other list has one video, which is unlabelled.
    settings.append(f"--set=data.test={data.train}")
    run = tmp_path / "run"
    arguments = [*video_run.OPTIONS, "--set=dataset=charades_frames", *settings]
    train.main([*arguments, f"--workdir={run}", f"--export={tmp_path / 'x'}"])
    result = RunFolder(run).read_result()
    assert 0 <= result["mean_average_precision"] <= 1
    assert (result["unlabelled"], result["skips_unlabelled"]) == (0, True)
    assert "val_auc_pr" in (run / "metrics.csv").read_text()
    assert (tmp_path / "x" / "1" / "saved_model.pb").exists()
    film, out = films.write_film(tmp_path / "a.mkv", 31), tmp_path / "a.json"
    scores = []
    for model in (run, tmp_path / "x"):
        predict.main(
            [str(film), f"--model={model}", f"--out={out}"]
            + ["--views=2x1", "--pool=max"]
        )
        scores.append(json.loads(out.read_text())["videos"][0]["scores"])
    np.testing.assert_allclose(*scores, atol=1e-5)
    assert abs(sum(scores[0]) - 1) > 1e-3  # sigmoids do not add up to one


def test_invalid_views_are_rejected_before_training(videos, tmp_path, capsys):
    arguments = [
        *video_run.OPTIONS,
        f"--set=data.root={videos}",
        "--set=views.pool=max",
    ]
    run = tmp_path / "run"
    assert cli.run(train.main, [*arguments, f"--workdir={run}"]) == 2
    assert "max is for multi-label data" in capsys.readouterr().err
    assert not run.exists()


# In CI, test_exact_resume.py and tasks/test_capabilities.py.
@pytest.mark.full
def test_a_resumed_run_equals_an_uninterrupted_one(videos, tmp_path):
    arguments = [f"--set=data.root={videos}", *video_run.OPTIONS]
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    train.main([*arguments, f"--workdir={whole}"])

    class Stop(Exception):
        pass

    saving = run_callbacks.SaveCheckpoints
    save = saving.on_epoch_end

    def save_and_stop(self, epoch, logs=None):
        save(self, epoch, logs)
        raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saving, "on_epoch_end", save_and_stop)
        with pytest.raises(Stop):
            train.main([*arguments, f"--workdir={halves}"])
    assert len(list((halves / "checkpoints").iterdir())) == 1
    train.main([f"--workdir={halves}", "--verbose=0"])
    expected, resumed = (
        run_model.load_trained(RunFolder(run))[0].get_weights()
        for run in (whole, halves)
    )
    for a, b in zip(expected, resumed, strict=True):
        np.testing.assert_array_equal(a, b)


# In CI, runs/test_run_model.py and tasks/test_start_weights.py.
@pytest.mark.full
def test_a_model_starts_from_weights_of_other_classes(videos, tmp_path, capsys):
    import nonlocal_tf as nl

    other = nl.create_model(
        "i3d_strided_nl1_small", num_classes=7, clip_shape=(2, 32, 32, 3)
    )
    other.save_weights(tmp_path / "other.weights.h5")
    run = RunFolder(tmp_path / "run")
    train.main(
        [
            f"--set=data.root={videos}",
            f"--workdir={run.path}",
            *video_run.OPTIONS,
        ]
        + [f"--set=model.weights={tmp_path / 'other.weights.h5'}"]
        + ["--set=optimizer.base_lr=0.0", "--set=optimizer.warmup_steps=0"]
    )
    assert "logits" in capsys.readouterr().out  # kept, as the report notes
    (origin,) = run.read_provenance()  # for the license in its model card
    assert origin.file == "other.weights.h5" and "made with" in origin.licence
    trained, recipe, _ = run_model.load_trained(run)
    assert (
        len(datasets.load(recipe.dataset, recipe.data, recipe.sampling).classes)
        == 2
    )
    kernel = trained.get_layer("stage1_conv1").kernel
    np.testing.assert_array_equal(
        kernel, other.get_layer("stage1_conv1").kernel
    )


def test_missing_weights_are_a_one_line_error(videos, tmp_path, capsys):
    arguments = [f"--set=data.root={videos}", f"--workdir={tmp_path / 'r'}"]
    weights = f"--set=model.weights={tmp_path / 'none.pkl'}"
    assert cli.run(train.main, [*arguments, *video_run.OPTIONS, weights]) == 2
    assert "none.pkl" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
