"""The installed wheel, and videos for it."""

import os
import pathlib

import pytest

from training.reproduce import synthetic_videos

ROOT = pathlib.Path(__file__).parents[2]
BIN = ROOT / ".venv-wheel" / "bin"

# Not among the default tests, wherever the wheel is installed.
needs_wheel = [
    pytest.mark.wheel,
    pytest.mark.skipif(
        not (BIN / "nonlocal-tf").exists(),
        reason="make test-wheel installs the wheel in .venv-wheel",
    ),
]


def environment() -> dict[str, str]:
    """Return the variables of this process that Python does not read."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}


def write_videos(folder: pathlib.Path) -> pathlib.Path:
    """Write synthetic videos of three classes with the clone."""
    videos = folder / "videos"
    synthetic_videos.main(["motion", "--out", str(videos), "--count", "8"])
    return videos
