"""Reading many clips takes no more than reading some."""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.training.data import films
from training.data import datasets
from training.data.data_config import DataConfig
from training.data.sampling_config import SamplingConfig

ROOT = pathlib.Path(__file__).parent.parent.parent.parent
CLIPS = 10_000
EARLY = 2_000
BATCH = 20


def held():
    """Resident MB, open files and threads of this process."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    megabytes = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return (
        megabytes,
        len(os.listdir("/proc/self/fd")),
        len(os.listdir("/proc/self/task")),
    )


def read_many(folder):
    """Prints what is held after some clips, and after many."""
    for name in "ab":
        for number in range(6):
            clip = films.pictures(20 + number)
            path = folder / "data" / name / f"{number}.mp4"
            films.write_film(path, clip)
        films.flip_bytes(path, 20)  # the last of each is damaged
    dataset = datasets.load(
        "folder",
        DataConfig(root=str(folder / "data"), cache=str(folder / "cache")),
        SamplingConfig(
            frames=4,
            frame_stride=3,
            min_short_side_px=36,
            max_short_side_px=44,
            crop_px=32,
            eval_short_side_px=36,
        ),
    )
    steps = [0, EARLY // BATCH, CLIPS // BATCH]
    for first, last in zip(steps, steps[1:], strict=False):
        for _ in dataset.train_batches(BATCH, 0, first, last):
            pass
        print(*held())  # while nothing is being read


@pytest.mark.full
def test_ten_thousand_clips_leak_nothing(tmp_path):
    # In a process of its own, whose threads share one heap: what the allocator
    # keeps for each thread says nothing about what we keep.
    printed = subprocess.run(
        [sys.executable, "-m", "tests.training.data.test_memory", tmp_path],
        cwd=ROOT,
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    early, late = (
        [*map(float, line.split())] for line in printed.split("\n")[-3:-1]
    )
    # A clip is 12 kB, a decoder some MB: 8,000 of either would be seen.
    assert late[0] - early[0] < 16
    assert late[1] <= early[1]
    assert late[2] <= early[2]


if __name__ == "__main__":
    read_many(pathlib.Path(sys.argv[1]))
