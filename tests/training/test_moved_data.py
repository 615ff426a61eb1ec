"""Runs whose data have moved: prediction, export, evaluation, resuming."""

import json
import shutil

import numpy as np
import pytest

from tests.training import video_run
from tests.training.data import films
from training import evaluate, export, predict, report, train, visualize
from training.data import video_dataset as video_datasets
from training.evaluation import video_scores
from training.io import cli
from training.runs.run_folder import RunFolder
from training.tasks import video_evaluation

CLASSES = ("jump", "walk")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(run, videos) of a tiny run on folders of splits."""
    root = tmp_path_factory.mktemp("trained")
    for split, count in (("train", 3), ("validation", 1), ("test", 2)):
        for label, name in enumerate(CLASSES):
            for number in range(count):
                clip = films.pictures(7 + number, seed=label)
                film = root / "videos" / split / name / f"{split}{number}.mkv"
                films.write_film(film, clip)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        videos = f"--set=data.root={root / 'videos'}"
        train.main([videos, f"--workdir={root / 'run'}", *video_run.OPTIONS])
    return root / "run", root / "videos"


@pytest.fixture
def copied(trained, tmp_path, monkeypatch):
    """(run, videos) as copies; the run's own data.root does not exist."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    video_datasets._loaded.cache_clear()  # as in another process
    run, videos = tmp_path / "run", tmp_path / "elsewhere"
    shutil.copytree(trained[0], run)
    shutil.copytree(trained[1], videos)
    recipe = json.loads((run / "recipe.json").read_text())
    recipe["data"]["root"] = str(tmp_path / "gone")
    (run / "recipe.json").write_text(json.dumps(recipe))
    return run, videos


@pytest.fixture
def stopped(copied):
    """(run, videos) of a copied run, stopped after its first epoch."""
    run, videos = copied
    (run / "result.json").unlink()
    shutil.rmtree(run / "checkpoints" / "epoch_0002")
    return run, videos


def error_of(capsys, main, *arguments):
    capsys.readouterr()
    assert cli.run(main, [str(argument) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_a_run_is_used_without_its_data(copied, tmp_path):
    run, videos = copied
    film = videos / "test" / "walk" / "test0.mkv"
    model, out = f"--model={run}", tmp_path / "a.json"
    predict.main([model, str(film), f"--out={out}"])
    assert json.loads(out.read_text())["classes"] == list(CLASSES)
    strip = f"--out={tmp_path / 'a.png'}"
    visualize.main([str(film), f"--workdir={run}", strip])
    report.main([f"--workdir={run}"])
    export.main([f"--workdir={run}", f"--out={tmp_path / 'model'}"])
    card = (tmp_path / "model" / "README.md").read_text()
    assert "noise, as no validation example" in card
    assert "jump, walk" in card and "train 6" in card


def test_a_sample_names_the_data_that_is_missing(copied, capsys):
    arguments = [f"--model={copied[0]}", "--sample=0"]
    assert "gone" in error_of(capsys, predict.main, *arguments)


def test_an_older_run_without_its_data_is_an_error(copied, capsys):
    run, videos = copied
    kept = {"classes": list(CLASSES), "sha256": "0"}
    (run / "data.json").write_text(json.dumps(kept))
    arguments = [f"--model={run}", videos / "test" / "walk" / "test0.mkv"]
    error = error_of(capsys, predict.main, *arguments)
    assert "of an older version" in error and "gone" in error


def scored(run, videos, *options):
    """Evaluate a run on other data; return its scores."""
    arguments = [f"--workdir={run}", f"--set=data.root={videos}", *options]
    evaluate.main([*arguments, f"--scores={run / 'scores'}"])
    return video_scores.load(run / "scores" / "scores.npz")


def labels_of(run, videos, *options):
    """Return the labels of the test videos."""
    folder = RunFolder(run)
    settings = [f"data.root={videos}"]
    settings += [option.removeprefix("--set=") for option in options]
    info = folder.read_info()
    dataset = video_evaluation.load_data(
        folder, folder.read_recipe(), info, "test", settings
    )
    assert dataset.classes == CLASSES
    return [label for v in dataset.videos("test") for label in v.labels]


def test_evaluation_takes_moved_test_videos_alone(trained, copied):
    before = video_scores.load(trained[0] / "tests/test_middle/scores.npz")
    run, videos = copied
    for split in ("train", "validation"):
        shutil.rmtree(videos / split)
    after = scored(run, videos)
    np.testing.assert_allclose(after.scores, before.scores, atol=1e-5)
    assert after.labels.tolist() == [0, 0, 1, 1]


def test_damaged_and_added_videos_are_named_and_counted(copied, capsys):
    run, videos = copied
    (videos / "test" / "jump" / "test1.mkv").write_bytes(b"damaged")
    films.write_film(videos / "test" / "walk" / "test9.mkv", films.pictures(8))
    scores = scored(run, videos)
    assert scores.ok.tolist() == [True, False, True, True, True]
    metrics = video_scores.compute_metrics(scores)
    assert (metrics["listed"], metrics["read"]) == (5, 4)
    printed = capsys.readouterr().out
    assert "could not be read" in printed and "jump/test1.mkv: " in printed


def test_evaluation_without_readable_videos_is_a_one_line_error(copied, capsys):
    run, videos = copied
    for film in (videos / "test").glob("*/*.mkv"):
        film.write_bytes(b"damaged")
    arguments = [f"--workdir={run}", f"--set=data.root={videos}"]
    error = error_of(capsys, evaluate.main, *arguments)
    assert "None of the 4 videos can be read" in error


def of_list(videos, names, labels):
    """Return settings of a test list with classes in another order."""
    (videos / "names.txt").write_text("\n".join(names))
    lines = [
        f"{path.relative_to(videos)} {labels[path.parent.name]}"
        for path in sorted((videos / "test").glob("*/*.mkv"))
    ]
    (videos / "list.txt").write_text("\n".join(lines))
    return [
        "--set=dataset=slowfast",
        f"--set=data.test={videos / 'list.txt'}",
        f"--set=data.classes={videos / 'names.txt'}",
    ]


def test_classes_are_matched_by_name(copied):
    run, videos = copied
    names = ("walk", "other", "jump")
    settings = of_list(videos, names, {"walk": 0, "jump": 2})
    assert labels_of(run, videos, *settings) == [0, 0, 1, 1]


def test_a_list_without_names_has_the_labels_of_the_run(copied):
    run, videos = copied
    *settings, _ = of_list(videos, ("x",), {"walk": 1, "jump": 0})
    assert labels_of(run, videos, *settings) == [0, 0, 1, 1]


def test_unknown_classes_are_a_one_line_error(copied, capsys):
    run, videos = copied
    settings = of_list(videos, ("run", "jump"), {"walk": 0, "jump": 1})
    arguments = [f"--workdir={run}", f"--set=data.root={videos}", *settings]
    error = error_of(capsys, evaluate.main, *arguments)
    assert "training data: jump, walk. Received: run" in error


def test_new_folders_are_evaluated_in_full(copied, tmp_path, capsys):
    run, videos = copied
    for name in CLASSES:
        for number in range(3):
            film = tmp_path / "new" / name / f"new{number}.mkv"
            films.write_film(film, films.pictures(12, seed=number))
    assert labels_of(run, tmp_path / "new") == [0, 0, 0, 1, 1, 1]
    assert "evaluating all of it" in capsys.readouterr().out


def test_evaluation_on_training_videos_is_noted(copied, capsys):
    run, videos = copied
    settings = of_list(videos, CLASSES, {"jump": 0, "walk": 1})
    (videos / "list.txt").write_text("train/jump/train0.mkv 0\n")
    assert labels_of(run, videos, *settings) == [0]
    assert "was trained on 1 of these 1 videos" in capsys.readouterr().out


def test_evaluation_accepts_data_settings_alone(copied, capsys):
    arguments = [f"--workdir={copied[0]}", "--set=sampling.frames=4"]
    error = error_of(capsys, evaluate.main, *arguments)
    assert "Received: --set sampling.frames=4" in error


def test_a_run_resumes_with_moved_data_and_other_test_videos(stopped, capsys):
    run, videos = stopped
    films.write_film(videos / "test" / "walk" / "test9.mkv", films.pictures(8))
    shutil.rmtree(run / "tests")
    arguments = [f"--workdir={run}", f"--set=data.root={videos}"]
    train.main([*arguments, "--verbose=0"])
    assert "note: test: not the files" in capsys.readouterr().out
    assert RunFolder(run).read_result()["examples"] == 5
    assert RunFolder(run).read_recipe().data.root == str(videos)


def test_resuming_names_the_option_for_moved_data(stopped, capsys):
    run, videos = stopped
    videos.rename(videos.with_name("moved"))
    error = error_of(capsys, train.main, f"--workdir={run}")
    assert "has moved, name the new place: --set data.root=PATH" in error


def test_resuming_lists_differing_files(stopped, capsys):
    run, videos = stopped
    folder = videos / "train"
    (folder / "jump" / "train0.mkv").unlink()
    films.write_film(folder / "jump" / "new.mkv", films.pictures(7))
    films.write_film(folder / "walk" / "train1.mkv", films.pictures(11))
    (folder / "walk" / "train2.mkv").rename(folder / "walk" / "train0.mkv")
    (folder / "jump" / "train2.mkv").write_bytes(b"damaged")
    arguments = [f"--workdir={run}", f"--set=data.root={videos}"]
    recipe = json.loads((run / "recipe.json").read_text())
    recipe["data"]["max_bad_share"] = 0.5
    (run / "recipe.json").write_text(json.dumps(recipe))
    error = error_of(capsys, train.main, *arguments)
    for text in (
        "added: 1 (train/jump/new.mkv)",
        "gone: 2 (train/jump/train0.mkv, train/walk/train2.mkv)",
        "cannot be read: 1 (train/jump/train2.mkv)",
        "content changed: 2 (",
        "train/walk/train1.mkv: 8 frames",
        ", now 11 frames",
    ):
        assert text in error
