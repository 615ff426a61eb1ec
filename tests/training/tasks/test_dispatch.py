"""Commands tell the task from a recipe, a run folder or a SavedModel."""

import pytest

from tests.training.tasks import small_run
from training import (
    app,
    evaluate,
    predict,
    report,
    serve_config,
    train,
    visualize,
)
from training.exporting import saved_model
from training.io import cli
from training.io.user_error import UserError
from training.recipes import get_recipe, overrides
from training.tasks import detector_export, video_export


@pytest.fixture
def detector(tmp_path):
    """The folder of a detector run with a recipe alone."""
    text = overrides.to_json(get_recipe("small"))
    (tmp_path / "recipe.json").write_text(text)
    return tmp_path


@pytest.fixture
def videos(tmp_path):
    """The folder of a video classification run with a recipe alone."""
    text = overrides.to_json(get_recipe("finetune"))
    (tmp_path / "recipe.json").write_text(text)
    return tmp_path


def error_of(capsys, main, arguments):
    assert cli.run(main, arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("main", "arguments", "option"),
    [
        (evaluate.main, ["--workdir={}", "--views=10x3"], "--views"),
        (predict.main, ["--model={}", "a.png", "--top=3"], "--top"),
        (visualize.main, ["--workdir={}", "a.png", "--at=3"], "--at"),
    ],
)
def test_options_of_videos_are_refused_for_detectors(
    detector, capsys, main, arguments, option
):
    arguments = [argument.format(detector) for argument in arguments]
    error = error_of(capsys, main, arguments)
    assert f"{option} is an option of video classification" in error


@pytest.mark.parametrize(
    ("main", "arguments", "option"),
    [
        (evaluate.main, ["--workdir={}", "--annotations=x"], "--annotations"),
        (
            predict.main,
            ["--model={}", "a.mp4", "--score-threshold=0.9"],
            "--score-threshold",
        ),
        (
            visualize.main,
            ["--workdir={}", "a.mp4", "--score-threshold=0.9"],
            "--score-threshold",
        ),
    ],
)
def test_options_of_detectors_are_refused_for_videos(
    videos, capsys, main, arguments, option
):
    arguments = [argument.format(videos) for argument in arguments]
    error = error_of(capsys, main, arguments)
    assert f"{option} is an option of detection" in error


def test_a_run_folder_rejects_another_recipe(detector, capsys):
    error = error_of(
        capsys, train.main, ["--recipe=digits_nl", f"--workdir={detector}"]
    )
    assert "holds a run of recipe 'small', not 'digits_nl'" in error


@pytest.fixture
def saved_detector(tmp_path):
    """Files that identify a detector's SavedModel, without a graph."""
    version = tmp_path / "model" / "1"
    (version / "assets").mkdir(parents=True)
    (version / "saved_model.pb").write_bytes(b"")
    (version / "assets" / "categories.json").write_text("[]")
    return version.parent


def test_a_saved_model_of_a_detector_is_loaded_as_one(
    saved_detector, tmp_path, capsys
):
    image = tmp_path / "a.png"
    image.write_bytes(b"")
    arguments = [f"--model={saved_detector}", str(image)]
    arguments.append(f"--out={tmp_path / 'out'}")
    error = error_of(capsys, predict.main, arguments)
    assert "cannot be loaded as a detector" in error
    error = error_of(capsys, app.main, [f"--model={saved_detector}"])
    assert "cannot be loaded as a detector" in error


def test_versions_of_both_tasks_are_not_mixed(saved_detector, tmp_path):
    with pytest.raises(UserError, match="versions of a detector"):
        video_export.check_out(saved_detector, get_recipe("digits_nl"))
    (saved_detector / "1" / "assets" / "categories.json").unlink()
    with pytest.raises(UserError, match="versions that are no detectors"):
        detector_export.check_out(saved_detector)
    assert [p.name for p in saved_model.versions(saved_detector)] == ["1"]


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("detector", "nonlocal-tf export --workdir"),
        ("videos", "nonlocal-tf export --workdir"),
    ],
)
@pytest.mark.parametrize("main", [app.main, serve_config.main])
def test_a_run_in_place_of_a_saved_model_names_the_export_command(
    request, capsys, kind, command, main
):
    run = request.getfixturevalue(kind)
    out = [f"--out={run / 'out'}"] if main is serve_config.main else []
    error = error_of(capsys, main, [f"--model={run}", *out])
    assert command in error


@pytest.mark.parametrize("main", [evaluate.main, report.main])
def test_a_saved_model_in_place_of_a_run_is_named(saved_detector, capsys, main):
    arguments = [f"--workdir={saved_detector}"]
    assert "This is a SavedModel" in error_of(capsys, main, arguments)


def test_a_run_folder_is_rejected_as_start_weights(videos, tmp_path, capsys):
    pytest.importorskip("pycocotools")
    options = small_run.options(tmp_path / "set", f"start.weights={videos}")
    options.append(f"--workdir={tmp_path / 'new'}")
    error = error_of(capsys, train.main, options)
    assert "is a run folder" in error
    options = [f"--weights={videos}", str(tmp_path / "set")]
    assert "is a run folder" in error_of(capsys, predict.main, options)
