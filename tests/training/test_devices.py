"""Networks on two devices, which have to be made before anything else runs."""

import subprocess
import sys

import pytest


def expect(module, *arguments):
    """Runs a module of this folder as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.training.{module}", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "as expected"


@pytest.mark.slow
@pytest.mark.parametrize("case", ["synchronized", "fused"])
def test_two_devices_train_a_network_that_was_loaded(case, tmp_path):
    expect("two_devices", case, tmp_path)


def test_a_trainer_on_devices_of_unequal_data():
    expect("trainer_on_two_devices")
