"""A small run of the train command, and other shared fixtures."""

import fcntl
import os
import shutil
import uuid

import pytest

from training import train
from training.data import generated

TINY = (
    "--set=steps=4",
    "--set=epoch_steps=2",
    "--set=batch=8",
    "--set=optimizer.warmup_steps=1",
    "--set=image_stage.steps=3",  # the last step is an epoch of its own
    "--set=image_stage.epoch_steps=2",
    "--set=image_stage.batch=8",
)


@pytest.fixture(scope="session", autouse=True)
def small_evaluation():
    """Reduce evaluation to one block of 64 examples per split."""
    patch = pytest.MonkeyPatch()
    patch.setattr(generated, "EVAL_BLOCKS", 1)
    yield
    patch.undo()


def write_once(name, write, tmp_path_factory):
    """Return a copy of a folder that one of the workers of xdist writes."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, complete = base / f"shared-{name}", base / f"{name}.complete"
    with open(base / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            folder.mkdir()
            write(folder)
            complete.touch()
    return shutil.copytree(folder, tmp_path_factory.mktemp(name) / name)


@pytest.fixture(scope="session")
def tiny(small_evaluation, tmp_path_factory):
    """A trained and exported run: its folder, and the SavedModel beside it."""
    run, models = "runs/digits_nl", "models/digits_nl"

    def write(folder):
        train.main(
            [
                "--recipe=digits_nl",
                f"--workdir={folder / run}",
                f"--export={folder / models}",
                "--verbose=0",
                *TINY,
            ]
        )

    folder = write_once("tiny", write, tmp_path_factory)
    return folder / run, folder / models / "1"


@pytest.fixture
def memory_url():
    """The URL of an empty folder in the memory of this process."""
    pytest.importorskip("fsspec")
    return f"memory://{uuid.uuid4()}/folder"


@pytest.fixture
def locked_folders(monkeypatch):
    """Make listing of folders named "locked" fail."""
    scandir = os.scandir

    def refuse(path):
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
