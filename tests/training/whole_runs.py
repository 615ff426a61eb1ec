"""Whole runs of recipes on digits, through their command."""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent.parent


def train(recipe, folder, *settings):
    """Trains a recipe; the folder of the run."""
    workdir = folder / recipe
    subprocess.run(
        [sys.executable, "-m", "training.train", f"--recipe={recipe}"]
        + [f"--workdir={workdir}", *settings],
        cwd=ROOT,
        check=True,
    )
    return workdir


def accuracy(workdir):
    return json.loads((workdir / "result.json").read_text())["accuracy"]
