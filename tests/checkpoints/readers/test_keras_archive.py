"""`.keras` files are checked before Keras loads them."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf.checkpoints import CheckpointError
from nonlocal_tf.checkpoints.readers import keras_archive
from tests.checkpoints import corruptions


@pytest.fixture(scope="module")
def entries():
    """Return the entries of a small model's file, by name."""
    content = corruptions.valid_files()["model.keras"]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(path, parts):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def refused(path, message, monkeypatch):
    def load_model(*arguments):
        raise AssertionError("Keras loads the file")

    monkeypatch.setattr(keras.models, "load_model", load_model)
    with pytest.raises(CheckpointError, match=message) as caught:
        nl.from_checkpoint(path)
    assert str(path) in str(caught.value)


def test_a_valid_model_is_loaded(entries, tmp_path):
    path = written(tmp_path / "a.keras", entries)
    assert nl.from_checkpoint(path)[0].count_params() == 8


@pytest.mark.parametrize("part", ["config.json", "metadata.json"])
def test_large_json_is_refused(part, entries, tmp_path, monkeypatch):
    parts = {**entries, part: entries[part] + b" " * 5_000_000}
    path = written(tmp_path / "a.keras", parts)
    refused(path, "far more than its own size", monkeypatch)


def test_large_assets_are_refused(entries, tmp_path, monkeypatch):
    parts = {**entries, "assets/words.txt": bytes(80_000_000)}
    path = written(tmp_path / "a.keras", parts)
    refused(path, "far more than its own size", monkeypatch)


def test_layers_larger_than_the_weights_are_refused(entries, tmp_path):
    config = json.loads(entries["config.json"])
    dense = config["config"]["layers"][-1]
    dense["config"]["units"] = 500_000_000
    parts = {**entries, "config.json": json.dumps(config)}
    path = written(tmp_path / "a.keras", parts)
    with pytest.raises(CheckpointError, match="far larger than its weights"):
        nl.from_checkpoint(path)


@pytest.mark.parametrize("kind", ["external data", "external link"])
def test_references_to_other_files_are_refused(
    kind, entries, tmp_path, monkeypatch
):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(24))
    out = io.BytesIO(entries["model.weights.h5"])
    with h5py.File(out, "r+") as file:
        group = file["layers/dense/vars"]
        del group["0"]
        if kind == "external data":
            storage = [(str(secret), 0, 24)]
            group.create_dataset("0", (3, 2), "f4", external=storage)
        else:
            group["0"] = h5py.ExternalLink(str(secret), "/data")
    parts = {**entries, "model.weights.h5": out.getvalue()}
    path = written(tmp_path / "a.keras", parts)
    refused(path, "refers to other files", monkeypatch)


def test_weights_that_are_not_finite_are_refused(entries, tmp_path):
    out = io.BytesIO(entries["model.weights.h5"])
    with h5py.File(out, "r+") as file:
        file["layers/dense/vars/1"][0] = np.nan
    parts = {**entries, "model.weights.h5": out.getvalue()}
    path = written(tmp_path / "a.keras", parts)
    with pytest.raises(CheckpointError, match="not finite"):
        nl.from_checkpoint(path)


@pytest.mark.parametrize(
    "version",
    ["3.11.3", "3.12.0", "3.12.3", "3.13.0", "3.13.2", "3.14.1", "3.15.0"],
)
def test_unsafe_versions_of_keras_are_refused(
    version, entries, tmp_path, monkeypatch
):
    path = written(tmp_path / "a.keras", entries)
    monkeypatch.setattr(keras, "__version__", version)
    refused(path, f"Received: Keras {version}. Upgrade", monkeypatch)


@pytest.mark.parametrize("version", ["3.12.4", "3.15.1", "3.16.0", "4.0.0"])
def test_safe_versions_of_keras_are_accepted(version):
    keras_archive.check_keras(version)
