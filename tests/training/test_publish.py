"""Runs become folders for a hub; only --upload uploads them."""

import json
import os
import sys
import types

import numpy as np
import pytest

import nonlocal_tf as nl
from tests import harness
from training import publish
from training.io import cli
from training.io.user_error import UserError
from training.runs import run_model
from training.runs.provenance import WeightSource
from training.runs.run_folder import RunFolder

PUBLISHED = WeightSource("i3d_baseline_8x8_IN_pretrain_400k.pkl", "caffe2")


@pytest.fixture
def run(tiny):
    return RunFolder(tiny[0])


@pytest.fixture
def hub(monkeypatch):
    """Calls of a stand-in for Hugging Face's client."""
    calls = []

    class Api:
        def __init__(self, library_name):
            calls.append(library_name)

        def create_repo(self, name, exist_ok):
            calls.append((name, exist_ok))

        def upload_folder(self, repo_id, folder_path):
            calls.append((repo_id, sorted(os.listdir(folder_path))))
            return f"https://huggingface.co/{repo_id}"

    module = types.SimpleNamespace(HfApi=Api)
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return calls


def published(*arguments):
    return cli.run(publish.main, [str(a) for a in arguments])


def test_a_run_is_written_and_nothing_uploaded(run, hub, tmp_path, capsys):
    folder = tmp_path / "mine"
    assert published(folder, "--workdir", run.path) == 0
    out = capsys.readouterr().out
    assert "model.safetensors" in out and "Nothing was uploaded" in out
    assert hub == []
    trained, _, info = run_model.load_trained(run)
    x = harness.normal((2, *trained.input_shape[1:]))
    y, expected = (
        harness.array(m(x, training=False))
        for m in (nl.from_pretrained(folder), trained)
    )
    np.testing.assert_array_equal(y, expected)
    facts = json.loads((folder / "preprocessor_config.json").read_text())
    assert facts["classes"] == list(info.classes)


@pytest.mark.parametrize(
    "multi_label, metrics",
    [(False, {"accuracy": 0.5}), (True, {"mean_average_precision": 0.5})],
)
def test_the_metric_of_several_labels_is_not_called_accuracy(
    multi_label, metrics
):
    result = {"accuracy": 0.5, "top5": None}
    if multi_label:
        result["mean_average_precision"] = 0.5
    assert publish._metrics(result, multi_label) == metrics


def test_it_is_uploaded_when_asked(run, hub, tmp_path, capsys):
    folder = tmp_path / "mine"
    options = ["--workdir", run.path, "--to", "hf://me/mine", "--upload"]
    assert published(folder, *options) == 0
    assert hub == [
        "nonlocal_tf",
        ("me/mine", True),
        ("me/mine", sorted(os.listdir(folder))),
    ]
    assert "Uploaded to https://huggingface.co/me/mine" in (
        capsys.readouterr().out
    )


def test_a_failed_upload_is_one_line(run, hub, tmp_path, capsys):
    def fail(*_, **__):
        raise OSError("401 Unauthorized")

    sys.modules["huggingface_hub"].HfApi.create_repo = fail
    options = ["--workdir", run.path, "--to", "hf://me/mine", "--upload"]
    assert published(tmp_path / "mine", *options) != 0
    message = "hf://me/mine was not uploaded: 401 Unauthorized"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("sources", "given", "license"),
    [
        ([], "", ""),
        ([], "mit", "mit"),
        ([PUBLISHED], "", "cc-by-nc-4.0"),
        ([PUBLISHED], "cc-by-nc-4.0", "cc-by-nc-4.0"),
        ([WeightSource("I3D_8x8_R50.pkl", "caffe2")], "", "apache-2.0"),
    ],
)
def test_the_license_is_that_of_the_start_weights(sources, given, license):
    assert publish._license(sources, given) == license


def test_a_license_cannot_be_dropped():
    with pytest.raises(UserError, match="Expected --license cc-by-nc-4.0"):
        publish._license([PUBLISHED], "mit")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Expected a folder of nl.save_pretrained"),
        (["--to", "me/mine"], "Expected --to hf://USER/MODEL"),
        (["--upload"], "Give --to"),
        (["--license", "mit"], "--license is for --workdir"),
    ],
)
def test_impossible_options(options, message, tmp_path, capsys):
    assert published(tmp_path / "none", *options) != 0
    assert message in capsys.readouterr().err


def test_a_folder_with_files_is_kept(run, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert published(tmp_path, "--workdir", run.path) != 0
    assert "has files" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_the_client_is_named_where_it_is_missing(
    run, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    options = ["--workdir", run.path, "--to", "hf://me/mine", "--upload"]
    assert published(tmp_path / "mine", *options) != 0
    assert "pip install huggingface_hub" in capsys.readouterr().err
