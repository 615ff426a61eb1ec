"""Training on two devices, in processes of their own.

Logical devices must be configured before TensorFlow runs anything.
"""

import subprocess
import sys

import pytest


def expect(module, *arguments):
    """Run a module of this folder in a process; expect success."""
    process = subprocess.run(
        [sys.executable, "-m", f"tests.training.{module}", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    assert process.stdout.splitlines()[-1] == "as expected"


@pytest.mark.slow
@pytest.mark.parametrize("case", ["synchronized", "fused"])
def test_two_devices_train_a_loaded_network(case, tmp_path):
    expect("two_devices", case, tmp_path)


def test_a_trainer_on_devices_with_unequal_data():
    expect("trainer_on_two_devices")


def test_fit_trains_on_batches_of_videos(tmp_path, own_cache):
    expect("fit_on_two_devices", tmp_path)
