"""Measure what each augmentation of training clips costs.

    python -m training.benchmarks.augmentation --videos bikes.mp4

The whole pipeline reads, augments and batches clips of 8 frames of 224 x 224 on
one core, with one augmentation at a time. Cases take turns in each round, with
the same clips of the same videos. "clips a second" is of CPU time, the median
over the rounds; "x" is the median over the rounds of (rate of the case) / (rate
without augmentation).
"""

import argparse
import dataclasses
import os
import pathlib
import statistics
import tempfile
import time
from typing import Any

from ..data import datasets, mixing
from ..data.data_config import DataConfig
from ..data.sampling_config import SamplingConfig
from ..io import cli, tables
from . import command
from .turns import machine, tell

PLAIN = "none"
# Settings of `SamplingConfig`, or of `mixing.mixed_batches`.
CASES: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "flip": {"flip": True},
    "crop_area=0.3,1": {"crop_area": (0.3, 1.0)},
    "color_jitter=0.3": {"color_jitter": 0.3},
    "grey=0.2": {"grey": 0.2},
    "erase=0.25": {"erase": 0.25},
    "rand_augment=4": {"rand_augment": 4},
    "time_jitter=0.5": {"time_jitter": 0.5},
    "reversal=0.5": {"reversal": 0.5},
    "balanced": {"balanced": True},
    "repeats=2": {"repeats": 2},
    "mixup=0.8": {"mixup": 0.8},
    "cutmix=1": {"cutmix": 1.0},
}
MIXING = ("mixup", "cutmix")
BATCH = 8
COPIES = 4  # of each video, in each of two classes


def main() -> None:
    """Command line of `python -m training.benchmarks.augmentation`."""
    parser = command.parser(__doc__)
    parser.add_argument(
        "--videos", nargs="+", type=os.path.expanduser, metavar="FILE"
    )
    parser.add_argument("--batches", type=cli.count, default=6)
    parser.add_argument("--rounds", type=cli.count, default=5)
    options = parser.parse_args()
    if not (options.videos or options.render):
        parser.error("give --videos or --render")
    command.run(options, measure, render)


def measure(options: argparse.Namespace) -> dict:
    """Time the batches of all cases in turns; return plain data."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    seconds: dict[str, list[float]] = {name: [] for name in CASES}
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        copy_videos(root, options.videos)
        for number in range(options.rounds):
            for name, settings in CASES.items():
                seconds[name].append(clip_seconds(root, settings, options))
            tell(f"round {number + 1} of {options.rounds} done")
    return {
        "machine": machine(),
        "videos": [pathlib.Path(name).name for name in options.videos],
        "seconds": seconds,
    }


def copy_videos(root: pathlib.Path, videos: list[str]) -> None:
    """Write a folder of two classes, each with copies of the videos."""
    for name in videos:
        path = pathlib.Path(name).resolve()
        for label in "ab":
            (root / label).mkdir(exist_ok=True)
            for copy in range(COPIES):
                # A link would be a second name of one video, and skipped.
                copied = root / label / f"{path.stem}-{copy}{path.suffix}"
                copied.write_bytes(path.read_bytes())


def clip_seconds(
    root: pathlib.Path, settings: dict, options: argparse.Namespace
) -> float:
    """Return the CPU time of a training clip, without the first batch."""
    mixed = {name: settings.get(name, 0.0) for name in MIXING}
    own = {n: value for n, value in settings.items() if n not in MIXING}
    dataset = datasets.load(
        "folder",
        DataConfig(root=str(root), cache=str(root / "cache")),
        dataclasses.replace(SamplingConfig(flip=False), **own),
    )
    batches = dataset.train_batches(BATCH, 0, 0, options.batches + 1)
    if any(mixed.values()):
        numbered = batches.enumerate().map(
            lambda number, batch: (number, batch[:2])
        )
        batches = mixing.mixed_batches(numbered, 0, 2, **mixed)
    iterator = iter(batches)
    next(iterator)
    start_s = time.process_time()
    count = sum(1 for _ in iterator)
    return (time.process_time() - start_s) / (count * BATCH)


def render(result: dict) -> str:
    """Format a result as Markdown."""
    plain = result["seconds"][PLAIN]
    rows = [["augmentation", "clips a second", "x"]]
    for name, seconds in result["seconds"].items():
        ratio = statistics.median(
            base / own for base, own in zip(plain, seconds, strict=True)
        )
        rate = 1 / statistics.median(seconds)
        rows.append([name, f"{rate:.1f}", f"{ratio:.2f}"])
    return (
        f"{result['machine']}; one core, {', '.join(result['videos'])}, "
        f"{len(plain)} rounds.\n\n{tables.markdown(rows)}"
    )


if __name__ == "__main__":
    main()
