"""Hugging Face's own client uploads and downloads folders of models.

Skipped where it is not installed, as in CI. To run it, install it in an
environment of the project and call pytest with this file:

    pip install huggingface_hub
"""

import os
import subprocess
import sys

import numpy as np
import pytest

import nonlocal_tf as nl
from tests import harness
from tests.pretrained.hub_server import TOKEN, Hub

# Fresh processes: the client reads its environment when it is imported.
PUBLISH = """
import sys
from training import publish
from training.io import cli
sys.exit(cli.run(publish.main, sys.argv[1:]))
"""
LOAD = """
import sys
import nonlocal_tf as nl
nl.from_pretrained(sys.argv[1]).save_weights(sys.argv[2])
"""


@pytest.fixture(scope="module")
def model():
    model = nl.create_model(
        "i3d_nl1_small", num_classes=3, clip_shape=(4, 16, 16, 3)
    )
    harness.randomise(model, 0.2)
    return model


@pytest.fixture
def run(tmp_path):
    """Run a script against a hub of an address; return the process."""

    def run(script, *arguments, address, token=TOKEN):
        environment = os.environ | {
            "HF_ENDPOINT": address,
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_DISABLE_XET": "1",  # another protocol, of another server
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_TOKEN": token,
        }
        return subprocess.run(
            [sys.executable, "-c", script, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.fixture
def folder(model, tmp_path):
    pytest.importorskip("huggingface_hub")
    folder = tmp_path / "mine"
    nl.save_pretrained(model, folder, license="apache-2.0")
    return folder


def words(text):
    return tuple(text.split())


def publish(run, folder, **options):
    upload = ("--to", "hf://me/mine", "--upload")
    return run(PUBLISH, str(folder), *upload, **options)


def test_an_uploaded_model_is_loaded_with_equal_weights(
    model, folder, run, tmp_path
):
    hub = Hub()
    with hub.serving() as address:
        process = publish(run, folder, address=address)
        assert process.returncode == 0, process.stderr
        page = f"{address}/me/mine"
        assert f"Uploaded to {page}" in process.stdout
        path = tmp_path / "loaded.weights.h5"
        process = run(LOAD, "hf://me/mine", str(path), address=address)
        assert process.returncode == 0, process.stderr
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert hub.repositories == {"me/mine": files}
    card = (folder / "README.md").read_text()  # which the hub would check
    assert {*map(words, hub.cards)} == {words(card)}
    loaded = nl.from_pretrained(folder)
    harness.randomise(loaded, 0.3)
    loaded.load_weights(path)
    x = harness.normal((2, 4, 16, 16, 3))
    y, expected = (harness.array(m(x, training=False)) for m in (loaded, model))
    np.testing.assert_array_equal(y, expected)


def test_an_upload_without_login_is_one_line(folder, run):
    with Hub().serving() as address:
        process = publish(run, folder, address=address, token="hf_other")
    assert_one_line(process, "hf://me/mine was not uploaded: ")
    assert "401" in process.stderr


def test_an_upload_to_no_server_is_one_line(folder, run):
    process = publish(run, folder, address="http://127.0.0.1:1")
    assert_one_line(process, "hf://me/mine was not uploaded: ")


def test_a_download_of_no_repository_is_one_line(folder, run, tmp_path):
    with Hub().serving() as address:
        path = str(tmp_path / "loaded.weights.h5")
        process = run(LOAD, "hf://me/other", path, address=address)
    assert process.returncode == 1
    last = process.stderr.splitlines()[-1]
    assert "CheckpointError: hf://me/other was not downloaded: " in last


def assert_one_line(process, message):
    assert process.returncode == 2, process.stderr
    assert message in process.stderr.splitlines()[-1]
    assert "Traceback" not in process.stderr
