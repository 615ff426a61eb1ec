"""Training that is killed and started again.

Of `nonlocal-tf train`, a few of the kills of kill_often.py, on two devices; in
CI, its runs are preempted instead: test_exact_resume.py and
tasks/test_capabilities.py.
"""

import signal
import subprocess
import sys

import numpy as np
import pytest

from tests.training import kill_often
from tests.training.data.small_datasets import load_classes


@pytest.mark.full
def test_a_killed_run_equals_an_uninterrupted_one(tmp_path):
    kills = kill_often.compare(tmp_path, 3, devices=2, steps=48)
    assert kills == 3


@pytest.mark.slow
def test_a_killed_fit_equals_an_uninterrupted_one(tmp_path, own_cache):
    load_classes(tmp_path)

    def fit(name, kill_epoch):
        (tmp_path / name).mkdir(exist_ok=True)
        folders = tmp_path / "data", tmp_path / name
        command = [sys.executable, "-m", "tests.training.kill_fit"]
        return subprocess.run([*command, *folders, str(kill_epoch)]).returncode

    assert fit("straight", -1) == 0
    assert fit("killed", 1) == -signal.SIGKILL
    assert fit("killed", -1) == 0
    with (
        np.load(tmp_path / "straight" / "weights.npz") as expected,
        np.load(tmp_path / "killed" / "weights.npz") as weights,
    ):
        for name, array in expected.items():
            np.testing.assert_array_equal(weights[name], array)
