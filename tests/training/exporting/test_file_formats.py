"""LiteRT and ONNX files, run by their own runtimes."""

import contextlib
import io
import sys

import numpy as np
import pytest
import tensorflow as tf

from training import export
from training.exporting import file_formats
from training.exporting.saved_model import SavedModel
from training.io import cli
from training.io.user_error import UserError
from training.runs.run_folder import RunFolder
from training.tasks import video_export

CLIPS = np.random.default_rng(3).integers(0, 256, (2, 8, 32, 32, 3), "uint8")


def written(run, path, *arguments):
    export.main([f"--workdir={run}", f"--out={path}", *arguments])
    return path.read_bytes()


@pytest.fixture(scope="module")
def lite(tiny, tmp_path_factory):
    """The path of a file of LiteRT, and what is printed of it."""
    path = tmp_path_factory.mktemp("lite") / "x.tflite"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        written(tiny[0], path)
    return path, printed.getvalue()


def assert_equal_outputs(content, exported):
    with pytest.warns(UserWarning, match="tf.lite.Interpreter is deprecated"):
        interpreter = tf.lite.Interpreter(model_content=content)
    runner = interpreter.get_signature_runner("serving_default")
    got = [runner(clips=clip[None])["probabilities"][0] for clip in CLIPS]
    np.testing.assert_allclose(
        got, SavedModel(exported).probabilities(CLIPS), rtol=0, atol=1e-5
    )


def test_tflite_outputs_equal_the_saved_models(tiny, lite):
    assert_equal_outputs(lite[0].read_bytes(), tiny[1])


@pytest.mark.full
def test_int8_outputs_equal_the_saved_models(tiny, tmp_path):
    path = tmp_path / "x.tflite"
    assert_equal_outputs(written(tiny[0], path, "--quantize=int8"), tiny[1])


def test_onnx_outputs_equal_the_saved_models(tiny, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    session = runtime.InferenceSession(written(tiny[0], tmp_path / "x.onnx"))
    got = [session.run(None, {"clips": clip[None]})[0][0] for clip in CLIPS]
    np.testing.assert_allclose(
        got, SavedModel(tiny[1]).probabilities(CLIPS), rtol=0, atol=1e-5
    )


def test_class_names_and_license_are_written(tiny, lite):
    path, printed = lite
    names = (path.parent / "x.tflite.classes.txt").read_text().splitlines()
    assert names == SavedModel(tiny[1]).classes
    assert "probabilities of 8 validation examples, at most " in printed
    licence = (path.parent / "x.tflite.licence.md").read_text()
    assert "random numbers" in licence


@pytest.mark.parametrize(
    ("name", "dtype"), [("x.onnx", "int8"), ("x.tflite", "bfloat16")]
)
def test_unsupported_dtype_is_an_error(tiny, tmp_path, name, dtype, capsys):
    code = cli.run(
        export.main,
        [f"--workdir={tiny[0]}", f"--out={tmp_path / name}"]
        + [f"--quantize={dtype}"],
    )
    assert code == 2 and dtype in capsys.readouterr().err
    assert not (tmp_path / name).exists()


def test_onnx_file_that_cannot_be_checked_is_not_written(
    tiny, tmp_path, monkeypatch
):
    pytest.importorskip("tf2onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    run = RunFolder(tiny[0])
    with pytest.raises(UserError, match="need onnxruntime"):
        video_export.export_file(run, tmp_path / "x.onnx", "float32")
    assert list(tmp_path.iterdir()) == []


def test_missing_package_names_the_extra(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(UserError, match="extra onnx"):
        video_export.export_file(
            RunFolder(tiny[0]), tmp_path / "x.onnx", "float32"
        )


def test_help_names_every_format(capsys):
    with pytest.raises(SystemExit):
        export.main(["--help"])
    printed = capsys.readouterr().out
    assert all(suffix in printed for suffix in file_formats.FORMATS)


@pytest.mark.parametrize("suffix", ["", ".classes.txt", ".licence.md"])
def test_existing_files_are_not_overwritten(tiny, tmp_path, capsys, suffix):
    path = tmp_path / f"x.tflite{suffix}"
    path.write_bytes(b"theirs")
    arguments = [f"--workdir={tiny[0]}", f"--out={tmp_path / 'x.tflite'}"]
    assert cli.run(export.main, arguments) == 2
    assert f"{path.name} exists" in capsys.readouterr().err
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"theirs"]
