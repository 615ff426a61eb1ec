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
@pytest.mark.parametrize(
    "case, devices, steps",
    [("digits", 2, 48), ("one label", 1, 48), ("several labels", 1, 400)],
)
def test_a_killed_run_equals_an_uninterrupted_one(
    case, devices, steps, tmp_path
):
    kills = kill_often.compare(tmp_path, 3, devices, steps, case=case)
    assert kills == 3


@pytest.mark.slow
def test_a_killed_fit_equals_an_uninterrupted_one(tmp_path, own_cache):
    load_classes(tmp_path)

    folders = [tmp_path / name for name in ("killed", "straight")]
    for folder in folders:
        folder.mkdir()

    def fit(kill_epoch, *folders):
        command = [sys.executable, "-m", "tests.training.kill_fit"]
        words = [tmp_path / "data", str(kill_epoch), *folders]
        return subprocess.run([*command, *words]).returncode

    assert fit(1, folders[0]) == -signal.SIGKILL
    assert not (folders[0] / "weights.npz").exists()
    assert fit(-1, *folders) == 0
    with (
        np.load(tmp_path / "straight" / "weights.npz") as expected,
        np.load(tmp_path / "killed" / "weights.npz") as weights,
    ):
        for name, array in expected.items():
            np.testing.assert_array_equal(weights[name], array)
