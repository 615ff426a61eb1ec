"""Paths, extensions and existing files of `save_weights`."""

import pickle

import pytest

import nonlocal_tf as nl
from nonlocal_tf.checkpoints import format_of_path
from tests.checkpoints.shallow_resnets import build


def test_a_failed_save_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"precious")
    model = build("c2d")

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pickle, "dump", fail)
    with pytest.raises(OSError, match="No space left.*a.pkl"):
        nl.save_weights(model, path, overwrite=True)
    assert path.read_bytes() == b"precious"
    assert [file.name for file in tmp_path.iterdir()] == ["a.pkl"]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder .*none"):
        nl.save_weights(build("c2d"), tmp_path / "none" / "a.pkl")


def test_keras_formats_need_their_extensions(tmp_path):
    model = nl.create_model("image_small", num_classes=3)
    for file_format, extension in (("keras", ".keras"), ("h5", ".weights.h5")):
        with pytest.raises(ValueError, match=f"ends in '{extension}'"):
            nl.save_weights(model, tmp_path / "a.h5", file_format)


@pytest.mark.parametrize(
    ("name", "file_format"),
    [
        ("a.keras", "keras"),
        ("a.b/A.weights.h5", "h5"),
        ("a.SafeTensors", "safetensors"),
        ("a.pkl", "caffe2"),
        ("a.PYTH", "slowfast"),
    ],
)
def test_the_extension_determines_the_format(name, file_format):
    assert format_of_path(name) == file_format


@pytest.mark.parametrize("name", ["a.h5", "a.pth", "a", "keras"])
def test_an_unknown_extension_is_refused(name, tmp_path):
    model = nl.create_model("image_small", num_classes=3)
    with pytest.raises(ValueError, match=r"\.pkl \(caffe2\).* format='keras'"):
        nl.save_weights(model, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Did you mean 'caffe2'"):
        nl.save_weights(build("c2d"), tmp_path / "a", "cafe2")


def test_the_home_directory_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    model = nl.create_model("image_small", num_classes=3)
    for name in ("a.keras", "a.weights.h5"):
        nl.save_weights(model, f"~/{name}")
        assert (tmp_path / name).exists()
        nl.load_weights(model, f"~/{name}")
    built, _ = nl.from_checkpoint("~/a.keras")
    assert built.count_params() == model.count_params()


def test_an_existing_file_is_not_overwritten_by_default(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"precious")
    model = build("c2d")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        nl.save_weights(model, path, "caffe2")
    assert path.read_bytes() == b"precious"
    nl.save_weights(model, path, "caffe2", overwrite=True)
    assert path.read_bytes() != b"precious"
