"""The main example in full, through its command: the claims of README."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from nonlocal_tf import preprocess, visualize
from training import run_model
from training.data import digits, load_dataset
from training.run_folder import RunFolder

ROOT = pathlib.Path(__file__).parent.parent.parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Function of a recipe's name to the folder of its whole run, made once."""
    folder = tmp_path_factory.mktemp("runs")

    def run(recipe):
        workdir = folder / recipe
        subprocess.run(
            [sys.executable, "-m", "training.train", f"--recipe={recipe}"]
            + [f"--workdir={workdir}"],
            cwd=ROOT,
            check=True,
        )
        return workdir

    return run


def accuracy(workdir):
    return json.loads((workdir / "result.json").read_text())["accuracy"]


def test_one_block_solves_recall(trained):
    assert accuracy(trained("digits_nl")) >= 0.95


def test_the_same_network_without_the_block_does_not(trained):
    assert accuracy(trained("digits_c2d")) < 0.5


def test_the_digit_that_was_asked_for_looks_at_the_flash(trained):
    model, *_ = run_model.load_trained(RunFolder(trained("digits_nl")))
    dataset = load_dataset("digits_recall")
    hits = []
    for index in range(50):
        example = dataset.example("test", index)
        clip = preprocess.normalize(example.pixels)
        look = visualize.affinity(model, clip, example.query)
        frame, y, x = look.strongest(1)[0]
        cells = np.array([y, x]) * 4 + 2  # the middle of the cell
        inside = np.abs(cells - example.target[1:]) <= digits.FLASH_PX // 2
        hits.append(frame == 0 and inside.all())
    assert np.mean(hits) >= 0.9
