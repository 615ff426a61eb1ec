"""Full training of digits recipes by the train command."""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent.parent


def train(recipe, folder):
    """Train a recipe in full; return the run folder."""
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
