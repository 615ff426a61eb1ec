import numpy as np
import pytest

from training import predict
from training.data import datasets
from training.io import cli
from training.io.user_error import UserError


def one_line_error(capsys, arguments):
    code = cli.run(predict.main, arguments)
    error = capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1, error
    return error


def probabilities(printed):
    """Parse the printed table as {class: probability}."""
    lines = printed.splitlines()
    first = next(i for i, line in enumerate(lines) if "probability" in line)
    rows = (line.split() for line in lines[first + 1 :] if line.startswith(" "))
    return {name: float(value) for name, value in rows}


def test_a_sample_gives_a_table_that_sums_to_one(tiny, capsys):
    predict.main([f"--model={tiny[1]}", "--sample=3", "--top=10"])
    printed = capsys.readouterr().out
    table = probabilities(printed)
    assert sorted(table) == list("0123456789")
    assert sum(table.values()) == pytest.approx(1, abs=1e-3)
    assert list(table.values()) == sorted(table.values(), reverse=True)
    label = datasets.load("digits_recall").example("test", 3).label
    assert f"test sample 3, labelled {label}" in printed


def test_a_clip_file_is_predicted_as_its_sample(tiny, tmp_path, capsys):
    clip = tmp_path / "clip.npy"
    model = f"--model={tiny[1]}"
    predict.main([model, "--sample=3", f"--save-clip={clip}"])
    of_sample = probabilities(capsys.readouterr().out)
    predict.main([model, str(clip)])
    assert probabilities(capsys.readouterr().out) == of_sample


def test_an_image_in_place_of_a_clip_is_an_error(tiny, tmp_path, capsys):
    np.save(tmp_path / "clip.npy", np.zeros((31, 32, 3), "uint8"))
    error = one_line_error(
        capsys, [f"--model={tiny[1]}", str(tmp_path / "clip.npy")]
    )
    assert "(None, None, None, 3)" in error and "(31, 32, 3)" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["clip.npy", "--model=m", "--sample=0"], "Give either a clip file or"),
        (["--model=m"], "Give either a clip file or"),
        (["clip.npy"], "Give --model"),
        (["clip.npy", "--model=m", "--top=0"], "Expected --top"),
    ],
)
def test_incompatible_options_are_rejected(arguments, message):
    with pytest.raises(UserError, match=message):
        predict.main(arguments)


def test_without_arguments_it_shows_an_example(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "savedmodels" / "mine" / "3").mkdir(parents=True)
    (tmp_path / "savedmodels" / "mine" / "3" / "saved_model.pb").touch()
    predict.main([])
    printed = capsys.readouterr().out
    assert "savedmodels/mine" in printed and predict.EXAMPLE in printed


def test_a_run_predicts_as_its_saved_model(tiny, tmp_path, capsys):
    clip = tmp_path / "clip.npy"
    run = f"--model={tiny[0]}"
    predict.main([run, "--sample=3", f"--save-clip={clip}"])
    of_run = capsys.readouterr().out
    predict.main([f"--model={tiny[1]}", "--sample=3"])
    of_saved = capsys.readouterr().out
    assert probabilities(of_run) == pytest.approx(
        probabilities(of_saved), abs=2e-4
    )
    predict.main([run, str(clip)])
    assert probabilities(capsys.readouterr().out) == probabilities(of_run)


@pytest.mark.parametrize("source", [0, 1])
def test_video_options_are_rejected_for_synthetic_clips(
    tiny, capsys, tmp_path, source
):
    model = f"--model={tiny[source]}"
    error = one_line_error(capsys, [model, "a.mp4", "--views=10x3"])
    assert "views expects a model of videos" in error
    error = one_line_error(capsys, [model, "a.mp4", "--timeline"])
    assert "--timeline expects a model of videos" in error
    (tmp_path / "a.mp4").touch()
    error = one_line_error(capsys, [model, str(tmp_path / "a.mp4")])
    assert "Expected a clip as .npy or .gif" in error


def test_a_clip_of_another_size_is_an_error(tiny, tmp_path, capsys):
    np.save(tmp_path / "clip.npy", np.zeros((3, 32, 32, 3), "uint8"))
    error = one_line_error(
        capsys, [f"--model={tiny[0]}", str(tmp_path / "clip.npy")]
    )
    assert "(8, 32, 32, 3)" in error and "(3, 32, 32, 3)" in error


def test_a_video_in_place_of_seconds_is_an_error(capsys):
    with pytest.raises(SystemExit):
        predict.main(["--model=m", "--timeline", "a.mp4"])
    assert "put --timeline after the videos" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "name"),
    [("--out", "a.json"), ("--out", "b.csv"), ("--save-clip", "c.npy")],
)
def test_files_of_the_user_are_not_overwritten(
    tiny, tmp_path, capsys, option, name
):
    clip, path = tmp_path / "clip.npy", tmp_path / name
    np.save(clip, np.zeros((8, 32, 32, 3), "uint8"))
    path.write_bytes(b"theirs")
    arguments = [f"--model={tiny[1]}", str(clip), f"{option}={path}"]
    assert f"{name} exists" in one_line_error(capsys, arguments)
    assert path.read_bytes() == b"theirs"


def test_the_input_clip_is_not_overwritten(tiny, tmp_path, capsys):
    clip = tmp_path / "clip.npy"
    model = f"--model={tiny[1]}"
    for _ in range(2):  # the command's own output is replaced
        predict.main([model, "--sample=3", f"--save-clip={clip}"])
    before = clip.read_bytes()
    arguments = [model, str(clip), f"--save-clip={clip}"]
    assert "is an input" in one_line_error(capsys, arguments)
    assert clip.read_bytes() == before
