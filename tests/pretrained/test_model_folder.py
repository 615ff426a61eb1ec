"""Folders for hubs: written, read by others, and loaded again."""

import json
import os
import subprocess
import sys
import types

import keras
import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf.pretrained import model_folder
from tests import harness

NAME = "i3d_nl1_small"
ARGUMENTS = {"num_classes": 3, "clip_shape": (4, 16, 16, 3)}
LOAD = """
import sys
import numpy as np
import nonlocal_tf as nl
model = nl.from_pretrained(sys.argv[1])
x = np.load(sys.argv[2])
np.save(sys.argv[3], np.asarray(model(x, training=False)))
"""


@pytest.fixture(scope="module")
def model():
    model = nl.create_model(NAME, **ARGUMENTS)
    harness.randomise(model, 0.2)
    return model


@pytest.fixture
def folder(model, tmp_path):
    folder = tmp_path / "mine"
    nl.save_pretrained(
        model,
        folder,
        license="apache-2.0",
        classes=("jump", "run", "walk: a\n---"),
        frame_stride=8,
        base_model="user/other",
        dataset="videos",
        metrics={"accuracy": 0.9375},
        tags=("sports",),
    )
    return folder


def outputs(model):
    x = harness.normal((2, *ARGUMENTS["clip_shape"]))
    return harness.array(model(x, training=False))


@pytest.mark.parametrize("weights_format", ["safetensors", "h5"])
def test_a_loaded_model_has_equal_outputs(model, tmp_path, weights_format):
    folder = tmp_path / "a" / "b"
    nl.save_pretrained(model, folder, weights_format=weights_format)
    loaded = nl.from_pretrained(folder)
    np.testing.assert_array_equal(outputs(loaded), outputs(model))
    assert not loaded.compiled


def test_keras_loads_a_folder_of_its_own_weights(model, tmp_path):
    nl.save_pretrained(model, tmp_path / "h5", weights_format="h5")
    loaded = keras.saving.load_model(tmp_path / "h5")
    np.testing.assert_array_equal(outputs(loaded), outputs(model))


def test_a_compiled_model_is_loaded_without_its_optimizer(tmp_path):
    model = nl.create_model(NAME, **ARGUMENTS)
    model.compile("adam", "mse")
    nl.save_pretrained(model, tmp_path / "compiled")
    assert not nl.from_pretrained(tmp_path / "compiled").compiled


def test_arrays_have_the_paths_of_variables(model, folder):
    content = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__")
    assert set(header) == {v.path for v in model.weights}
    for variable in model.weights:
        begin, end = header[variable.path]["data_offsets"]
        data = content[8 + length + begin : 8 + length + end]
        array = np.frombuffer(data, "<f4").reshape(variable.shape)
        np.testing.assert_array_equal(array, harness.array(variable))


def test_the_card_has_front_matter(folder):
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    values = dict(line.split(": ", 1) for line in front.splitlines())
    values = {key: json.loads(value) for key, value in values.items()}
    (result,) = values.pop("model-index")[0]["results"]
    assert values == {
        "library_name": "keras",
        "pipeline_tag": "video-classification",
        "license": "apache-2.0",
        "base_model": "user/other",
        "datasets": ["videos"],
        "tags": ["video-classification", "non-local", "sports"],
    }
    assert result["metrics"] == [{"type": "accuracy", "value": 0.9375}]
    assert "- accuracy: 0.9375" in text


def test_what_comes_before_the_network_is_stated(folder):
    facts = json.loads((folder / "preprocessor_config.json").read_text())
    assert facts == {
        "size": {"height": 16, "width": 16},
        "num_frames": 4,
        "frame_stride": 8,
        "rescale_factor": 1 / 255,
        "image_mean": [0.45] * 3,
        "image_std": [0.225] * 3,
        "channels": "RGB",
        "classes": ["jump", "run", "walk: a\n---"],
    }


def test_images_are_classified_too(tmp_path):
    model = nl.create_model("image_small", num_classes=2)
    nl.save_pretrained(model, tmp_path / "images")
    page = (tmp_path / "images" / "README.md").read_text()
    assert 'pipeline_tag: "image-classification"' in page
    assert "License of the weights: not stated." in page


def test_files_of_the_user_are_kept(model, folder):
    before = (folder / "README.md").read_text()
    with pytest.raises(FileExistsError, match="has files"):
        nl.save_pretrained(model, folder)
    assert (folder / "README.md").read_text() == before
    (folder / "notes.txt").write_text("mine")
    nl.save_pretrained(
        model, folder, weights_format="h5", license="mit", overwrite=True
    )
    assert sorted(os.listdir(folder)) == [
        *("README.md", "config.json", "metadata.json", "model.weights.h5"),
        *("notes.txt", "preprocessor_config.json"),
    ]
    assert os.listdir(folder.parent) == ["mine"]


def test_a_failure_leaves_nothing(model, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(model_folder, "save_weights", fail)
    with pytest.raises(OSError, match="No space"):
        nl.save_pretrained(model, tmp_path / "mine")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": ["a"]}, "names of 3 classes. Received: 1"),
        ({"weights_format": "onnx"}, "Unknown weights_format 'onnx'"),
        ({"mean": [0.5, 0.5]}, "mean and deviation of 3 channels"),
    ],
)
def test_impossible_arguments(model, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        nl.save_pretrained(model, tmp_path / "x", **arguments)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", b"{", "damaged or cut off"),
        ("config.json", b"[]", "damaged or cut off"),
        ("config.json", None, "Expected config.json and model.safetensors"),
        ("model.safetensors", b"<html>", "model.safetensors"),
        ("model.safetensors", None, "as of nl.save_pretrained"),
    ],
)
def test_a_damaged_folder_is_an_error(folder, name, content, message):
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(nl.CheckpointError, match=message):
        nl.from_pretrained(folder)


def test_layers_far_larger_than_the_weights_are_not_built(folder):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for layer in config["config"]["layers"]:
        if layer["config"]["name"] == "logits":
            layer["config"]["units"] = 1_000_000_000
    path.write_text(json.dumps(config))
    with pytest.raises(nl.CheckpointError, match="denial of service"):
        nl.from_pretrained(folder)


def test_code_in_a_configuration_is_not_run(folder):
    path = folder / "config.json"
    layer = keras.layers.Lambda(lambda x: x)
    config = keras.saving.serialize_keras_object(
        keras.Sequential([keras.Input((2,)), layer])
    )
    path.write_text(json.dumps(config))
    with pytest.raises(nl.CheckpointError, match="arbitrary code execution"):
        nl.from_pretrained(folder)


@pytest.mark.parametrize(
    ("address", "package", "function", "arguments"),
    [
        (
            "hf://user/model",
            "huggingface_hub",
            "snapshot_download",
            {"revision": "v1"},
        ),
        ("kaggle://u/m/keras/v", "kagglehub", "model_download", {}),
    ],
)
def test_a_hub_gives_the_folder(
    model, folder, monkeypatch, address, package, function, arguments
):
    asked = []

    def download(name, **options):
        asked.append((name, options))
        return str(folder)

    stand_in = types.SimpleNamespace(**{function: download})
    monkeypatch.setitem(sys.modules, package, stand_in)
    loaded = nl.from_pretrained(address, **arguments)
    np.testing.assert_array_equal(outputs(loaded), outputs(model))
    assert asked == [(address.partition("://")[2], arguments)]


@pytest.mark.parametrize(
    ("address", "package"),
    [("hf://user/model", "huggingface_hub"), ("kaggle://u/m", "kagglehub")],
)
def test_the_package_of_a_hub_is_named(monkeypatch, address, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        nl.from_pretrained(address)


def test_other_addresses_are_errors():
    with pytest.raises(ValueError, match="Expected a folder, hf://user/model"):
        nl.from_pretrained("ftp://user/model")


@pytest.mark.full
def test_a_fresh_process_has_equal_outputs(model, folder, tmp_path):
    x, y = tmp_path / "x.npy", tmp_path / "y.npy"
    np.save(x, harness.normal((2, *ARGUMENTS["clip_shape"])))
    subprocess.run([sys.executable, "-c", LOAD, folder, x, y], check=True)
    np.testing.assert_array_equal(np.load(y), outputs(model))
