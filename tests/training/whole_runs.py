"""Training of digits recipes by the train command."""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent.parent


def train(recipe, folder, *options):
    """Train a recipe, in full without options; return the run folder."""
    workdir = folder / recipe
    subprocess.run(
        [sys.executable, "-m", "training.train", f"--recipe={recipe}"]
        + [f"--workdir={workdir}", *options],
        cwd=ROOT,
        check=True,
    )
    return workdir


def accuracy(workdir):
    return json.loads((workdir / "result.json").read_text())["accuracy"]
