"""The built wheel, in a fresh environment and an empty folder (test-wheel).

Each test runs the installed command in a process of its own; nothing of the
clone is on its path.
"""

import contextlib
import json
import pathlib
import re
import subprocess
import sys
import urllib.request

import pytest

from tests.wheel.installed import BIN, environment, needs_wheel

SHORT = ("--set=steps=2", "--set=epoch_steps=2")

pytestmark = needs_wheel


def run(folder, *words):
    """Run the installed command in a folder and return what it prints."""
    process = subprocess.run(
        [BIN / "nonlocal-tf", *map(str, words)],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert "oneDNN" not in process.stderr  # nor other notes of TensorFlow
    return process.stdout


@pytest.fixture(scope="module")
def digits(folder):
    """The SavedModel of digits, trained for a few steps."""
    recipe = ["--recipe=digits_nl", "--workdir=runs/digits", *SHORT]
    recipe += ["--set=optimizer.warmup_steps=0", "--set=image_stage=null"]
    run(folder, "train", *recipe, "--export=models/digits")
    return "models/digits"


def test_the_package_is_the_installed_one(folder):
    code = (
        "import importlib.util as u; print(u.find_spec('nonlocal_tf').origin)"
    )
    process = subprocess.run(
        [BIN / "python", "-c", code],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    package = pathlib.Path(process.stdout.strip()).parent
    assert package.is_relative_to(BIN.parent)
    assert (package / "training" / "data" / "__init__.py").is_file()


def test_without_arguments_commands_are_listed(folder):
    printed = run(folder)
    assert "train" in printed and "serve_config" in printed


def test_the_table_of_abilities_is_that_of_the_clone(folder):
    options = ["--table=abilities", "--no-train"]
    assert run(folder, "ablations", *options) == ablations_of_clone(options)
    code = "from nonlocal_tf.training.reproduce import ablation_runs as runs"
    module = subprocess.run(
        [BIN / "python", "-c", f"{code}; print(runs.TRAIN[-1])"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert module == "nonlocal_tf.training.train"


def ablations_of_clone(options):
    return subprocess.run(
        [sys.executable, "-m", "training.ablations", *options],
        cwd=pathlib.Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_digits_train_and_predict(folder, digits):
    printed = run(folder, "predict", f"--model={digits}", "--sample=0")
    assert "probability" in printed
    assert (folder / "runs/digits/result.json").is_file()


def test_the_page_predicts_a_sample(folder, digits):
    with serving(folder, digits) as url:
        with urllib.request.urlopen(url) as page:
            token = re.search(
                r'name="token" content="([\w-]+)"', page.read().decode()
            )
        question = urllib.request.Request(
            f"{url}/sample",
            json.dumps({"number": 3}).encode(),
            {"X-Token": token[1]},
        )
        with urllib.request.urlopen(question) as answer:
            opened = json.load(answer)
    assert opened["about"].startswith("Test sample 3")


@contextlib.contextmanager
def serving(folder, model):
    """The address of the page of a SavedModel, while it is served."""
    process = subprocess.Popen(
        [BIN / "nonlocal-tf", "app", f"--model={model}", "--port=0"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            for line in process.stdout:
                if line.startswith("Open "):
                    yield line.split()[1].rstrip("/")
                    break
        finally:
            process.terminate()
