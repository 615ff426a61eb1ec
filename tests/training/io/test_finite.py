"""Runs and models that diverged say so, whatever they are used for."""

import io
import json
import math
import shutil

import numpy as np
import pytest
import tensorflow as tf

from training import evaluate, export, predict, train
from training.evaluation.classifier import Classifier
from training.exporting import inference_model, signatures
from training.io import atomic_files, cli, finite
from training.loop import checkpointing
from training.runs import run_model
from training.runs.run_folder import RunFolder


@pytest.fixture(scope="module")
def diverged(tiny, tmp_path_factory):
    """A run whose weights are finite, and too large to compute with."""
    path = tmp_path_factory.mktemp("diverged") / "run"
    shutil.copytree(tiny[0] / "image_stage", path)
    run = RunFolder(path)
    last = checkpointing.latest(run.checkpoints).path
    with np.load(last / checkpointing.VARIABLES) as saved:
        arrays = {
            name: np.full_like(array, 3e38) if array.ndim == 4 else array
            for name, array in saved.items()
        }
    content = io.BytesIO()
    np.savez(content, **arrays)
    (last / checkpointing.VARIABLES).write_bytes(content.getvalue())
    state = json.loads((last / checkpointing.STATE).read_text())
    state["sha256"] = atomic_files.sha256(last / checkpointing.VARIABLES)
    (last / checkpointing.STATE).write_text(json.dumps(state))
    return run


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (export, ["--workdir={run}", "--out={out}"]),
        (export, ["--workdir={run}", "--out={out}.tflite"]),
        (evaluate, ["--workdir={run}", "--scores={out}"]),
        (predict, ["--model={run}", "--sample=0"]),
    ],
)
def test_outputs_that_are_not_finite_are_said(
    diverged, command, options, tmp_path, capsys
):
    paths = {"run": diverged.path, "out": tmp_path / "out"}
    arguments = [option.format(**paths) for option in options]
    assert cli.run(command.main, arguments) == cli.USER_ERROR
    printed = capsys.readouterr().err
    assert "outputs are not finite" in printed and printed.count("\n") == 1
    assert not list(tmp_path.glob("out/1")) + list(tmp_path.glob("*.tflite"))


def test_a_served_model_says_whether_weights_or_sizes_are_to_blame(diverged):
    model, _, info = run_model.load_trained(diverged)
    served = inference_model.build(Classifier(model), info)
    functions = signatures.make_signatures(served, lambda numbers: numbers)
    classify, _ = functions["serving_default"]
    shape = info.element_shape
    with pytest.raises(tf.errors.InvalidArgumentError, match="diverged"):
        classify(np.zeros((1, *shape), "uint8"))
    smaller = np.zeros((1, shape[0] - 1, *shape[1:]), "uint8")
    with pytest.raises(tf.errors.InvalidArgumentError, match="larger than"):
        classify(smaller)


def test_a_finished_run_that_older_code_left_diverged_says_so(
    tiny, tmp_path, capsys
):
    run = RunFolder(tmp_path / "run")
    shutil.copytree(tiny[0] / "image_stage", run.path)
    for state in run.checkpoints.glob("*/state.json"):
        content = json.loads(state.read_text())
        content["history"][0]["val_loss"] = math.nan
        state.write_text(json.dumps(content))
    code = cli.run(train.main, [f"--workdir={run.path}"])
    assert code == cli.USER_ERROR
    printed = capsys.readouterr().err
    assert "outputs are not finite (val_loss is nan in epoch 1)" in printed


def test_figures_that_are_not_there_are_finite():
    assert finite.not_finite({"epoch": 1, "loss": 0.5, "val_loss": None}) == ""
    assert finite.not_finite({"loss": 0.5, "b": -math.inf}) == "b is -inf"


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_the_first_array_that_is_not_finite_is_named(number):
    arrays = [np.ones(3), np.array([1, 2]), np.array([0.5, number], "float32")]
    assert finite.not_finite_array("abc", arrays) == "c"
    assert finite.not_finite_array("ab", arrays[:2]) == ""


def test_half_precision_has_a_remedy_of_its_own():
    assert "bfloat16" not in finite.remedy(0.1)
    remedy = finite.remedy(0.1, "mixed_float16")
    assert "training.precision=mixed_bfloat16" in remedy
