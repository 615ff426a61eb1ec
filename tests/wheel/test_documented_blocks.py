"""Blocks of README and the guide, and notebooks, run with the installed wheel.

Each runs as it stands, in an empty folder with made videos, images and weights
under the names of the documents; only trainings and evaluations are shortened,
and clips smaller.
"""

import json
import pathlib
import re
import shlex
import subprocess

import pytest

from tests.documentation import snippets
from tests.training.reproduce import synthetic_coco
from tests.wheel import installed
from tests.wheel.installed import BIN, ROOT, environment

SHORT = ["--set=steps=4", "--set=epoch_steps=2"]
SHORT += ["--set=optimizer.warmup_steps=0"]
# Settings of recipes that a few steps need.
OF_RECIPE = {"digits_nl": ["--set=image_stage=null"]}
# README and own_videos.md make what the pages after them use.
FIRST = ["README.md", "docs/pages/own_videos.md"]

pytestmark = installed.needs_wheel


def blocks():
    """List the blocks and cells that run, in order."""
    documents = {
        name: text
        for name, text in snippets.documents()
        if name == "README.md" or name.startswith("docs/pages/")
    }
    for name in sorted(documents, key=lambda n: (n not in FIRST, n)):
        for block in snippets.fences(name, documents[name], "sh", "python"):
            if not block.reason:
                yield block
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        name = path.relative_to(ROOT).as_posix()
        cells = json.loads(path.read_text("utf-8"))["cells"]
        for number, cell in enumerate(cells):
            if cell["cell_type"] == "code":
                text = "".join(cell["source"])
                yield snippets.Snippet(
                    f"{name}:{number}", text, language="python"
                )


def runnable(block):
    """Return a block as run_blocks.py takes it."""
    if block.language == "python":
        # Without IPython's commands, such as %pip.
        code = re.sub(r"^%.*$", "", block.text, flags=re.M)
        code = re.sub(r"\bepochs=\d+", "epochs=1", code)
        code = code.replace('"10x3"', '"2x3"').replace("take(60)", "take(4)")
        # Clips of fewer pixels: at 112, XLA takes ten seconds for a step.
        code = re.sub(r"\b112\b", "64", code)
        return {"place": block.place, "code": code}
    commands = [
        shortened(shlex.split(line.text, comments=True))
        for line in snippets.lines(block)
        if line.text.startswith("nonlocal-tf ")
    ]
    return {"place": block.place, "commands": commands}


def shortened(words):
    """Shorten a command that trains or evaluates."""
    words = ["2x3" if word == "10x3" else word for word in words]
    if words[:2] != ["nonlocal-tf", "train"] or len(words) == 2:
        return words
    place = words.index("--recipe") + 1
    settings = [*SHORT, *OF_RECIPE.get(words[place], [])]
    return [*words[: place + 1], *settings, *words[place + 1 :]]


@pytest.fixture
def named_files(tmp_path):
    """A folder with the videos and annotated images that documents name."""
    videos = installed.write_videos(tmp_path)
    first, second = sorted(videos.iterdir())[:2]
    jump = first.rename(first.with_name("jump"))
    second.rename(second.with_name("walk"))
    for video, name in zip(
        sorted(jump.iterdir()), ("a.mp4", "my video.MP4"), strict=False
    ):
        video.rename(jump / name)
    for name in ("train", "val"):
        images = tmp_path / name
        images.mkdir()
        annotations = pathlib.Path(
            synthetic_coco.write(images, size=(240, 320))
        )
        text = annotations.read_text("utf-8").replace(".png", ".jpg")
        (tmp_path / f"{name}.json").write_text(text, "utf-8")
        annotations.unlink()
        for path in images.glob("*.png"):
            path.rename(path.with_suffix(".jpg"))
    yield tmp_path
    for weights in tmp_path.rglob("*.p[ky]*"):  # some 200 MB each
        weights.unlink()


def test_blocks_run(named_files):
    script = named_files / "blocks.json"
    script.write_text(json.dumps([runnable(block) for block in blocks()]))
    process = subprocess.run(
        [BIN / "python", ROOT / "tests" / "wheel" / "run_blocks.py", script],
        cwd=named_files,
        env=environment(),
        timeout=1800,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    print(process.stdout)
    assert process.returncode == 0, process.stdout[-3000:]
