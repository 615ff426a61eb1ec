"""The same batches give the same weights on several devices and machines.

On several, the train command runs in processes of its own, since devices must
be configured before TensorFlow runs anything.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from training import train
from training.loop import checkpointing
from training.runs import run_model
from training.runs.run_folder import RunFolder

ROOT = pathlib.Path(__file__).parent.parent.parent
# In float64, one and two devices agree to 4e-16 after these steps. In float32,
# ReLUs amplify rounding errors: with this learning rate they stay below the
# bound, and weights change a hundred times as much.
RECIPE = (
    "--recipe=digits_nl",
    "--set=image_stage=None",
    "--set=steps=6",
    "--set=epoch_steps=3",
    "--set=batch=8",
    "--set=optimizer.name=sgd",
    "--set=optimizer.base_lr=0.003",
    "--set=optimizer.warmup_steps=2",
    "--set=optimizer.weight_decay=1e-4",
    "--set=optimizer.clip_norm=1.0",
    "--set=training.synchronized_bn=True",
    "--set=optimizer.layer_decay=0.9",
    "--set=training.mixup=0.8",
    "--set=training.cutmix=1",
    "--set=training.class_weights=1,1,2,1,1,0.5,1,1,1,1",
    "--set=training.ema_decay=0.9",
    "--set=training.precise_bn_batches=2",
    "--verbose=0",
)
BOUND = 1e-5


def start(workdir, *options, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.quick_train", *RECIPE, *options]
        + [f"--workdir={workdir}"],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(*processes):
    for process in processes:
        output, _ = process.communicate(timeout=400)
        assert process.returncode == 0, output[-3000:]


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for listener in sockets:
        listener.bind(("127.0.0.1", 0))
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def start_workers(workdir, *options, count=2):
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    for index in range(count):
        config = {
            "cluster": {"worker": addresses},
            "task": {"type": "worker", "index": index},
        }
        yield start(workdir, *options, TF_CONFIG=json.dumps(config))


def weights(workdir):
    """Return EMA weights, weights, and batch normalization statistics."""
    run = RunFolder(workdir)
    model, *_ = run_model.load_trained(run)
    averaged = [np.asarray(v) for v in model.trainable_variables]
    checkpointing.restore(model, checkpointing.latest(run.checkpoints))
    plain = [np.asarray(v) for v in model.trainable_variables]
    statistics = [
        np.asarray(v) / np.abs(np.asarray(v)).max()
        for v in model.non_trainable_variables
        if "moving" in v.path
    ]
    return averaged, plain, statistics


def assert_same_weights(workdir, expected):
    *weight_sets, statistics = weights(workdir)
    *weight_sets_expected, statistics_expected = weights(expected)
    for got, expected_set in zip(
        weight_sets, weight_sets_expected, strict=True
    ):
        for array, expected_array in zip(got, expected_set, strict=True):
            np.testing.assert_allclose(
                array, expected_array, rtol=0, atol=BOUND
            )
    # E(x^2) - E(x)^2 in float32 loses a digit.
    for array, expected_array in zip(
        statistics, statistics_expected, strict=True
    ):
        np.testing.assert_allclose(
            array, expected_array, rtol=0, atol=10 * BOUND
        )


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("one") / "run"
    train.main([*RECIPE, f"--workdir={workdir}"])
    return workdir


@pytest.mark.slow
def test_two_devices(one_device, tmp_path):
    finish(start(tmp_path / "run", "--devices=2"))
    assert_same_weights(tmp_path / "run", one_device)


@pytest.mark.full
def test_two_machines(one_device, tmp_path):
    finish(*start_workers(tmp_path / "run"))
    assert_same_weights(tmp_path / "run", one_device)
