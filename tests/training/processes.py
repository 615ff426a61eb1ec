"""Test programs that run in a process of their own."""

import subprocess
import sys


def expect(module, *arguments):
    """Run a module of this folder in a process; expect success."""
    process = subprocess.run(
        [sys.executable, "-m", f"tests.training.{module}", *arguments],
        capture_output=True,
        text=True,
        timeout=1200,  # a test that hangs, on any processor
    )
    assert process.returncode == 0, process.stderr[-3000:]
    assert process.stdout.splitlines()[-1] == "as expected"
