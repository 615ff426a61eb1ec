"""Reading clips: our ways beside decord and OpenCV, in one run, on one core.

    pip install -e '.[video]'     # and decord, opencv-python-headless
    python -m training.benchmarks.input_pipeline --videos bikes.mp4 vtest.avi

Each reader gives the same clips, at the same random starts, as uint8 of 224 x
224 cut from the middle of frames whose short side is 256. All take turns, a
clip each, so that "x" is a ratio within one run: (CPU time of the fastest other
reader whose frames are right) / (CPU time of ours), the median over the clips.
A frame is wrong if it is further from the one of a decoder that is run from the
start than two decoders are from each other. JPEG frames and records are made
of the same films first, scaled to a short side of 256; they are not compared
with films, for they hold no frames that have to be decoded in passing.

Then `train_batches` of the whole pipeline runs on one core and on two. A step
of so many milliseconds with a batch of so many clips needs (clips a step) /
(seconds a step) / (clips a second and core) cores.
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
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from training.benchmarks.turns import machine, tell
from training.data import DATASETS, decode, load_dataset, sharding, transforms
from training.data.frame_folders import FrameFolders
from training.data.index_cache import IndexCache
from training.data.listing import Video
from training.data.records import Records
from training.data.sharding import ShardsConfig
from training.data.video_files import VideoFiles
from training.recipe import DataConfig, SamplingConfig

SAMPLINGS = {"32x2": (32, 2), "8x8": (8, 8)}
SHORT_SIDE_PX, CROP_PX = 256, 224
# Root mean square of levels; decoders that agree on a frame differ by less in
# how they make RGB of it, and frames of a film that moves by more.
SAME_FRAME = 4.0
Reader = Callable[[list[int]], np.ndarray]


def main() -> None:
    """Command line of `python -m training.benchmarks.input_pipeline`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--videos", nargs="+", metavar="FILE")
    parser.add_argument(
        "--gops",
        nargs="*",
        type=int,
        default=[],
        metavar="N",
        help="also the last film as H.264 with a short side of 256 and a\n"
        "keyframe every N frames, as data sets are often prepared",
    )
    parser.add_argument("--clips", type=int, default=20, metavar="N")
    parser.add_argument("--step-ms", type=float, default=200, metavar="MS")
    parser.add_argument("--batch", type=int, default=8, metavar="CLIPS")
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE.json")
    parser.add_argument("--render", type=pathlib.Path, metavar="FILE.json")
    parser.add_argument("--feed", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.feed:
        print(json.dumps(feed(pathlib.Path(options.feed[0]), options.feed[1])))
        return
    if options.render:
        result = json.loads(options.render.read_text("utf-8"))
    elif options.videos:
        result = measure(options)
    else:
        parser.error("give --videos or --render")
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(render(result))


def measure(options: argparse.Namespace) -> dict:
    """Runs everything; what is found is plain data."""
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
            result["films"] += film(pathlib.Path(name), folder, options.clips)
    for gop in options.gops:
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch)
            last = pathlib.Path(options.videos[-1])
            small = folder / f"{last.stem}-gop{gop}.mp4"
            _encode_small(last, small, gop)
            result["films"] += film(small, folder, options.clips)
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


def film(path: pathlib.Path, folder: pathlib.Path, clips: int) -> list[dict]:
    """Measures all readers on one film."""
    cache = IndexCache(folder / "cache")
    began = time.process_time()
    index = cache.index(str(path))
    index_ms = 1e3 * (time.process_time() - began)
    truth = _from_the_start(path)
    small = _write_frames(truth, folder / "frames")
    window, size_px = _window(index.height, index.width)
    readers: dict[str, Reader] = {"ours": _ours(path, cache)}
    if importlib.util.find_spec("decord"):
        readers["decord"] = _decord(path)
    if importlib.util.find_spec("cv2"):
        readers["opencv"] = _opencv(path)
    readers["jpeg frames"] = _jpeg_frames(folder / "frames", len(truth), small)
    readers["records"] = _records(path, folder)
    resampler = transforms.Resampler(index.height, index.width, window, size_px)
    rows = []
    for sampling, (length, stride) in SAMPLINGS.items():
        rng = np.random.default_rng(0)
        times: dict[str, list[float]] = {name: [] for name in readers}
        wrong = dict.fromkeys(readers, 0)
        for clip in range(clips + 1):
            room = max(index.frames - length * stride, 0)
            start = int(rng.integers(0, room + 1))
            numbers = [
                (start + stride * k) % index.frames for k in range(length)
            ]
            for name, read in readers.items():
                began = time.process_time()
                got = read(numbers)
                spent = time.process_time() - began
                if not clip:
                    continue  # the first is for what is set up once
                times[name].append(spent)
                if name in ("jpeg frames", "records"):
                    continue  # scaled twice and compressed: no levels to hold
                for number, frame in zip(numbers, got, strict=True):
                    expected = resampler(truth[number])[0]
                    difference = frame.astype(np.float32) - expected
                    far = np.sqrt((difference**2).mean()) > SAME_FRAME
                    wrong[name] += int(far)
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
    """The fastest reader of films but ours with no wrong frame.

    Returns:
        Its name, and how many times as fast ours is: the median over clips.
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
    """Reads batches of the whole pipeline on the cores of this process."""
    length, stride = SAMPLINGS[sampling]
    dataset = load_dataset(
        "folder",
        DataConfig(root=str(root), cache=str(root / "cache")),
        SamplingConfig(frames=length, frame_stride=stride),
    )
    clips = 0
    began = 0.0
    for step, (pixels, *_) in enumerate(dataset.train_batches(4, 0, 0, 14)):
        if step == 1:
            began = time.monotonic()
        elif step > 1:
            clips += len(pixels)
    return {"clips_s": clips / (time.monotonic() - began)}


def render(result: dict) -> str:
    """The figures as Markdown."""
    lines = [
        f"{result['machine']}; {', '.join(result['versions'])}. One core, "
        f"{result['clips']} clips each; ms of CPU a clip (wrong frames).",
        "",
    ]
    names = list(result["films"][0]["seconds"])
    head = ["film", "clip", *names, "x", "index ms"]
    lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
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
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "The whole pipeline on films, clips a second:", ""]
    lines += ["| clip | one core | two cores | x |", "|---|---|---|---|"]
    for row in result["feeds"]:
        one, two = row["clips_s"]
        lines.append(
            f"| {row['sampling']} | {one:.1f} | {two:.1f} | {two / one:.2f} |"
        )
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
    """How many cores feed a device.

    Args:
        batch: clips a step.
        step_ms: milliseconds a step.
        clips_s: clips a second that one core reads.
    """
    return batch / (step_ms / 1e3) / clips_s


def _feeds(root: pathlib.Path, sampling: str) -> dict:
    """Clips a second in processes of their own, on one core and on two."""
    found: list[list[float]] = []
    for _ in range(3):
        found.append([])
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
            found[-1].append(json.loads(answer.splitlines()[-1])["clips_s"])
    return {
        "clips_s": [
            statistics.median(column) for column in zip(*found, strict=True)
        ]
    }


def _encode_small(source: pathlib.Path, target: pathlib.Path, gop: int) -> None:
    """H.264 with a short side of 256."""
    frames = _from_the_start(source)
    height, width = frames.shape[1:3]
    window, size = transforms.whole_window(height, width, SHORT_SIDE_PX)
    size_px = [int(side) // 2 * 2 for side in size]
    resampler = transforms.Resampler(
        height, width, window[None].numpy(), size_px
    )
    av = decode.pyav()
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = size_px
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = gop
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(
                resampler(frame)[0], format="rgb24"
            )
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def _window(height: int, width: int):
    window = transforms.crop_windows(height, width, SHORT_SIDE_PX, CROP_PX, 1)
    return window.numpy(), (CROP_PX, CROP_PX)


def _from_the_start(path: pathlib.Path) -> np.ndarray:
    """All frames, from one decoder that is run once."""
    index = decode.index_video(path)
    none = np.zeros(0, np.int64)
    counted = decode.VideoIndex(
        **{**vars(index), "order": "count", "timestamps": none}
    )
    return decode.read_frames(path, range(index.frames), counted)


def _ours(path: pathlib.Path, cache: IndexCache) -> Reader:
    source = VideoFiles(cache)
    index = cache.index(str(path))
    window, size_px = _window(index.height, index.width)
    fields = {"path": os.fsencode(path)}
    return lambda numbers: source.read(fields, numbers, window, size_px)[0]


def _decord(path: pathlib.Path) -> Reader:
    import cv2
    import decord

    cv2.setNumThreads(1)

    def read(numbers):
        reader = decord.VideoReader(str(path), num_threads=1)
        numbers = [min(number, len(reader) - 1) for number in numbers]
        return _scaled(reader.get_batch(numbers).asnumpy())

    return read


def _opencv(path: pathlib.Path) -> Reader:
    import cv2

    cv2.setNumThreads(1)

    def read(numbers):
        # Versions before 4.6 have no such setting.
        threads = getattr(cv2, "CAP_PROP_N_THREADS", None)
        settings = [] if threads is None else [threads, 1]
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, settings)
        found: dict[int, np.ndarray] = {}
        at = None
        for number in sorted(set(numbers)):
            if at is None or number < at or number - at > 64:
                capture.set(cv2.CAP_PROP_POS_FRAMES, number)
                at = number
            while at < number:
                capture.grab()
                at += 1
            okay, frame = capture.read()
            at += 1
            if okay:
                last = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            found[number] = last
        capture.release()
        return _scaled([found[number] for number in numbers])

    return read


def _scaled(frames) -> np.ndarray:
    """Scaled whole and then cut, as users of these libraries do."""
    import cv2

    height, width = frames[0].shape[:2]
    tall, wide = (
        int(s) for s in transforms.scaled_size(height, width, SHORT_SIDE_PX)
    )
    top, left = (tall - CROP_PX) // 2, (wide - CROP_PX) // 2
    return np.stack(
        [
            cv2.resize(frame, (wide, tall), interpolation=cv2.INTER_LINEAR)[
                top : top + CROP_PX, left : left + CROP_PX
            ]
            for frame in frames
        ]
    )


def _write_frames(truth: np.ndarray, folder: pathlib.Path) -> tuple[int, int]:
    """JPEG frames with a short side of 256; returns their size."""
    folder.mkdir()
    height, width = truth.shape[1:3]
    window, size = transforms.whole_window(height, width, SHORT_SIDE_PX)
    resampler = transforms.Resampler(height, width, window[None].numpy(), size)
    for number, frame in enumerate(truth, 1):
        jpeg = tf.io.encode_jpeg(resampler(frame)[0], quality=90)
        tf.io.write_file(str(folder / f"img_{number:05}.jpg"), jpeg)
    return int(size[0]), int(size[1])


def _jpeg_frames(folder, frames: int, size: tuple[int, int]) -> Reader:
    source = FrameFolders()
    fields = source.fields(Video(str(folder), frames=frames))
    return _traced(source, fields, size)


def _records(path: pathlib.Path, folder: pathlib.Path) -> Reader:
    """The film as one record, made as the command makes it."""
    for name in "ab":  # a data set has classes
        (folder / "films" / name).mkdir(parents=True)
        (folder / "films" / name / path.name).symlink_to(path.resolve())
    data = DataConfig(root=str(folder / "films"))
    config = ShardsConfig(data=data, max_frames=10**6, shard_videos=1)
    run = sharding.in_processes(1)
    sharding.make("folder", config, str(folder / "shards"), run)
    shards = DataConfig(root=str(folder / "shards"))
    listing = DATASETS["media_sequence"].read_lists(shards)  # type: ignore[attr-defined]
    (video, *_) = listing.splits["train"]
    source = Records()
    probe = source.probe(video)
    return _traced(source, source.fields(video), (probe.height, probe.width))


def _traced(source, fields, size) -> Reader:
    window, size_px = _window(*size)
    fields = {name: tf.constant(value) for name, value in fields.items()}
    read = tf.function(source.read)

    def of(numbers):
        numbers = tf.constant(numbers, tf.int64)
        return read(
            fields, numbers, tf.constant(window), tf.constant(size_px)
        ).numpy()[0]

    return of


def _versions() -> list[str]:
    packages = ("av", "tensorflow", "decord", "opencv-python-headless")
    return [
        f"{name} {importlib.metadata.version(name)}"
        for name in packages
        if importlib.util.find_spec(name.split("-")[0].replace("opencv", "cv2"))
    ]


if __name__ == "__main__":
    main()
