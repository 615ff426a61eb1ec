"""Whole runs of recipes on digits, through their command."""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent.parent


def train(recipe, folder):
    """Trains a recipe in full; the folder of the run."""
    workdir = folder / recipe
    subprocess.run(
        [sys.executable, "-m", "training.train", f"--recipe={recipe}"]
        + [f"--workdir={workdir}"],
        cwd=ROOT,
        check=True,
    )
    return workdir


def accuracy(workdir):
    return json.loads((workdir / "result.json").read_text())["accuracy"]
