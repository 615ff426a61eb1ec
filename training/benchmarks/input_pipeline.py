"""Compare clip readers with decord and OpenCV, in one run, on one core.

    pip install -e '.[video]'     # and decord, opencv-python-headless
    python -m training.benchmarks.input_pipeline --videos bikes.mp4 vtest.avi

Each reader reads the same clips, at the same random starts, as uint8 center
crops of 224 x 224 of frames with a short side of 256. Readers are interleaved,
so that "x" is a ratio within one run: (CPU time of the fastest other reader
with correct frames) / (CPU time of ours), the median over clips. A frame is
wrong if it differs from that of sequential decoding by more than two decoders
differ. JPEG frames and records are made of the same videos, resized to a short
side of 256; they are not compared with videos, since they need no decoding of
other frames.

Then `train_batches` of the whole pipeline runs on one core and on two. A
training step needs (clips per step) / (seconds per step) / (clips per second
and core) cores.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from ..data import datasets, transforms
from ..data.data_config import DataConfig
from ..data.index_cache import IndexCache
from ..data.sampling_config import SamplingConfig
from ..io import tables
from . import command, readers
from .turns import machine, tell

SAMPLINGS = {"32x2": (32, 2), "8x8": (8, 8)}
# Root mean square of levels: decoders differ by less in their RGB conversion,
# neighbouring frames of a moving video by more.
SAME_FRAME = 4.0


def main() -> None:
    """Command line of `python -m training.benchmarks.input_pipeline`."""
    parser = command.parser(__doc__)
    parser.add_argument(
        "--videos", nargs="+", type=os.path.expanduser, metavar="FILE"
    )
    parser.add_argument(
        "--gops",
        nargs="*",
        type=int,
        default=[],
        metavar="N",
        help="also the last video as H.264 with a short side of 256 and a\n"
        "keyframe every N frames, as data sets are often prepared",
    )
    parser.add_argument("--clips", type=int, default=20, metavar="N")
    parser.add_argument("--step-ms", type=float, default=200, metavar="MS")
    parser.add_argument("--batch", type=int, default=8, metavar="CLIPS")
    parser.add_argument("--feed", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.feed:
        print(json.dumps(feed(pathlib.Path(options.feed[0]), options.feed[1])))
        return
    if not (options.videos or options.render):
        parser.error("give --videos or --render")
    command.run(options, measure, render)


def measure(options: argparse.Namespace) -> dict:
    """Run all measurements; return plain data."""
    result: dict = {
        "machine": machine(),
        "versions": _versions(),
        "clips": options.clips,
        "step_ms": options.step_ms,
        "batch": options.batch,
        "films": [],
        "feeds": [],
    }
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for name in options.videos:
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch)
            result["films"] += measure_video(
                pathlib.Path(name), folder, options.clips
            )
    for gop in options.gops:
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch)
            last = pathlib.Path(options.videos[-1])
            small = folder / f"{last.stem}-gop{gop}.mp4"
            readers.encode_small(last, small, gop)
            result["films"] += measure_video(small, folder, options.clips)
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        for name in options.videos:
            path = pathlib.Path(name).resolve()
            for label in "ab":
                (root / label).mkdir(exist_ok=True)
                for copy in range(4):
                    link = root / label / f"{path.stem}-{copy}{path.suffix}"
                    link.symlink_to(path)
        for sampling in SAMPLINGS:
            result["feeds"].append(
                {"sampling": sampling, **_feeds(root, sampling)}
            )
    return result


def measure_video(
    path: pathlib.Path, folder: pathlib.Path, clips: int
) -> list[dict]:
    """Measure all readers on one video."""
    cache = IndexCache(folder / "cache")
    start_s = time.process_time()
    index = cache.index(str(path))
    index_ms = 1e3 * (time.process_time() - start_s)
    truth = readers.from_the_start(path)
    small = readers.write_frames(truth, folder / "frames")
    window, size_px = readers.middle(index.height, index.width)
    turns: dict[str, readers.Reader] = {"ours": readers.ours(path, cache)}
    if importlib.util.find_spec("decord"):
        turns["decord"] = readers.with_decord(path)
    if importlib.util.find_spec("cv2"):
        turns["opencv"] = readers.with_opencv(path)
    turns["jpeg frames"] = readers.jpeg_frames(
        folder / "frames", len(truth), small
    )
    turns["records"] = readers.records(path, folder)
    resampler = transforms.Resampler(index.height, index.width, window, size_px)
    rows = []
    for sampling, (length, stride) in SAMPLINGS.items():
        rng = np.random.default_rng(0)
        times: dict[str, list[float]] = {name: [] for name in turns}
        wrong = dict.fromkeys(turns, 0)
        for clip in range(clips + 1):
            room = max(index.frames - length * stride, 0)
            start = int(rng.integers(0, room + 1))
            numbers = [
                (start + stride * k) % index.frames for k in range(length)
            ]
            for name, read in turns.items():
                start_s = time.process_time()
                got = read(numbers)
                spent = time.process_time() - start_s
                if not clip:
                    continue  # warm-up
                times[name].append(spent)
                if name in ("jpeg frames", "records"):
                    continue  # resized and compressed: not comparable
                for number, frame in zip(numbers, got, strict=True):
                    expected = resampler(truth[number])[0]
                    difference = frame.astype(np.float32) - expected
                    is_wrong = np.sqrt((difference**2).mean()) > SAME_FRAME
                    wrong[name] += int(is_wrong)
        rows.append(
            {
                "film": path.name,
                "sampling": sampling,
                "frames": index.frames,
                "size": [index.height, index.width],
                "keyframes": len(index.keyframes),
                "order": index.order,
                "index_ms": index_ms,
                "seconds": times,
                "wrong": wrong,
                "of": clips * length,
            }
        )
        tell(f"{path.name} {sampling} done")
    cache.close()
    return rows


def fastest_other(row: dict) -> tuple[str, float] | None:
    """Return the fastest other video reader without wrong frames.

    Returns:
        Its name, and our speed-up over it, the median over clips.
    """
    ratios = [
        (
            statistics.median(
                np.divide(row["seconds"][n], row["seconds"]["ours"])
            ),
            n,
        )
        for n in ("decord", "opencv")
        if n in row["seconds"] and not row["wrong"][n]
    ]
    if not ratios:
        return None
    ratio, name = min(ratios)
    return name, float(ratio)


def feed(root: pathlib.Path, sampling: str) -> dict:
    """Measure the rate of the whole pipeline on the cores of this process."""
    length, stride = SAMPLINGS[sampling]
    dataset = datasets.load(
        "folder",
        DataConfig(root=str(root), cache=str(root / "cache")),
        SamplingConfig(frames=length, frame_stride=stride),
    )
    clips = 0
    start_s = 0.0
    for step, (pixels, *_) in enumerate(dataset.train_batches(4, 0, 0, 14)):
        if step == 1:
            start_s = time.monotonic()
        elif step > 1:
            clips += len(pixels)
    return {"clips_s": clips / (time.monotonic() - start_s)}


def render(result: dict) -> str:
    """Format a result as Markdown."""
    lines = [
        f"{result['machine']}; {', '.join(result['versions'])}. One core, "
        f"{result['clips']} clips each; ms of CPU a clip (wrong frames).",
        "",
    ]
    names = list(result["films"][0]["seconds"])
    rows = [["film", "clip", *names, "x", "index ms"]]
    for row in result["films"]:
        height, width = row["size"]
        cells = [
            f"{row['film']} {width} x {height}, {row['frames']} frames, "
            f"{row['keyframes'] or 'no'} keyframes",
            row["sampling"],
        ]
        for name in names:
            text = f"{1e3 * statistics.median(row['seconds'][name]):.1f}"
            if name not in ("jpeg frames", "records"):
                text += f" ({row['wrong'][name]} of {row['of']})"
            cells.append(text)
        other = fastest_other(row)
        cells.append(f"{other[1]:.2f} {other[0]}" if other else "-")
        cells.append(f"{row['index_ms']:.0f}")
        rows.append(cells)
    lines.append(tables.markdown(rows))
    lines += ["", "The whole pipeline on films, clips a second:", ""]
    feeds = [["clip", "one core", "two cores", "x"]]
    for row in result["feeds"]:
        one_core, two_cores = row["clips_s"]
        figures = [
            f"{one_core:.1f}",
            f"{two_cores:.1f}",
            f"{two_cores / one_core:.2f}",
        ]
        feeds.append([row["sampling"], *figures])
    lines.append(tables.markdown(feeds))
    step = result["step_ms"]
    lines += ["", f"Cores for a step of {step:.0f} ms of {result['batch']} "]
    lines[-1] += (
        "clips: "
        + "; ".join(
            f"{row['sampling']} "
            f"{cores(result['batch'], step, row['clips_s'][0]):.1f}"
            for row in result["feeds"]
        )
        + " of films."
    )
    return "\n".join(lines)


def cores(batch: int, step_ms: float, clips_s: float) -> float:
    """Compute the number of cores that feed a device.

    Args:
        batch: clips per step.
        step_ms: milliseconds per step.
        clips_s: clips per second of one core.
    """
    return batch / (step_ms / 1e3) / clips_s


def _feeds(root: pathlib.Path, sampling: str) -> dict:
    """Measure clips per second in processes on one core and on two."""
    rates: list[list[float]] = []
    for _ in range(3):
        rates.append([])
        for count in (1, 2):
            cpus = ",".join(str(cpu) for cpu in range(count))
            answer = subprocess.run(
                ["taskset", "--cpu-list", cpus]
                + [sys.executable, "-m", __spec__.name, "--feed"]
                + [str(root), sampling],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            rates[-1].append(json.loads(answer.splitlines()[-1])["clips_s"])
    return {
        "clips_s": [
            statistics.median(column) for column in zip(*rates, strict=True)
        ]
    }


def _versions() -> list[str]:
    packages = ("av", "tensorflow", "decord", "opencv-python-headless")
    return [
        f"{name} {importlib.metadata.version(name)}"
        for name in packages
        if importlib.util.find_spec(name.split("-")[0].replace("opencv", "cv2"))
    ]


if __name__ == "__main__":
    main()
