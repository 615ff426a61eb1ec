"""Networks on two devices, which have to be made before anything else runs."""

import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("case", ["synchronized", "fused"])
def test_two_devices_train_a_network_that_was_loaded(case, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.two_devices", case, tmp_path],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "as expected"


@pytest.mark.slow
def test_two_devices_share_the_views_of_a_test():
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.views_on_two_devices"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "as expected"


@pytest.mark.slow
@pytest.mark.parametrize("case", ["statistics", "overflow"])
def test_a_trainer_on_devices_of_unequal_data(case):
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.trainer_on_two_devices", case],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "as expected"
