"""SavedModels: versions, signatures and errors."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from training.exporting import saved_model
from training.exporting.saved_model import SavedModel
from training.io.user_error import UserError
from training.runs import exported_recipe


def test_versions_are_ordered_as_numbers(tmp_path):
    for name in ("10", "9", "notes", ".unfinished-11"):
        (tmp_path / name).mkdir()
    names = [path.name for path in saved_model.versions(tmp_path)]
    assert names == ["9", "10"]


def test_missing_folder_has_no_versions():
    assert saved_model.versions(pathlib.Path("/nowhere")) == []


def test_newest_version_is_found(tmp_path):
    for version in ("2", "10"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "saved_model.pb").touch()
    (tmp_path / "11").mkdir()  # an empty one does not count
    assert saved_model.find(tmp_path) == tmp_path / "10"


@pytest.mark.parametrize("make", [True, False])
def test_path_without_a_saved_model_is_an_error(make, tmp_path):
    path = tmp_path / "model"
    if make:
        path.mkdir()
    with pytest.raises(UserError, match="is not a SavedModel"):
        SavedModel(path)


def test_damaged_saved_model_is_an_error(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"not a graph")
    with pytest.raises(UserError, match="cannot be loaded"):
        SavedModel(tmp_path)


def test_saved_model_of_another_program_is_an_error(tmp_path):
    module = tf.Module()
    spec = tf.TensorSpec((None,), tf.float32)
    module.f = tf.function(lambda x, y: {"sum": x + y}, [spec, spec])
    tf.saved_model.save(module, str(tmp_path), {"serving_default": module.f})
    with pytest.raises(UserError, match="cannot be loaded as a SavedModel of"):
        SavedModel(tmp_path)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("x.keras", "model.save"),
        ("x.weights.h5", "model.save_weights"),
        ("x.TFLITE", "nonlocal-tf export"),
        ("x.onnx", "nonlocal-tf export"),
    ],
)
def test_name_of_a_file_is_no_directory_of_versions(name, advice, tmp_path):
    with pytest.raises(UserError, match=advice):
        saved_model.check_out(tmp_path / name)


def test_saved_model_has_inputs_classes_and_recipe(tiny):
    model = SavedModel(tiny[1].parent)
    assert model.path == tiny[1]
    assert (model.input_name, model.classes[:2]) == ("clips", ["0", "1"])
    assert exported_recipe.read(model.path).name == "digits_nl"


def test_unknown_signature_suggests_the_nearest(tiny):
    with pytest.raises(UserError, match="Did you mean 'serving_default'"):
        SavedModel(tiny[1]).run("serving_defualt")


def test_ragged_inputs_are_a_one_line_error(tiny):
    with pytest.raises(UserError, match="serve_frames: .*rectang"):
        SavedModel(tiny[1]).run("serve_frames", frames_bytes=[[b"a"], []])


def test_wrong_shape_names_both_shapes(tiny):
    clips = np.zeros((2, 32, 32, 3), "uint8")
    with pytest.raises(UserError, match="uint8 pixels of shape"):
        SavedModel(tiny[1]).probabilities(clips)


def test_saved_model_lists_its_blocks(tiny):
    model = SavedModel(tiny[1])
    assert model.blocks == ("stage2_nonlocal",)
    assert "attention" in model.signatures
