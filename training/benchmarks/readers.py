"""Clip readers of this library and others, for the benchmark.

A reader is a function from frame numbers to uint8 pixels `(time, 224, 224, 3)`,
center crops of frames with a short side of 256.
"""

import os
import pathlib
import shutil
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ..data import (
    DATASETS,
    sharding,
    transforms,
    video_container,
    video_decoder,
    video_index,
)
from ..data.data_config import DataConfig
from ..data.frame_folder_reader import FrameFolderReader
from ..data.index_cache import IndexCache
from ..data.manifest import Video
from ..data.pyav_reader import PyAVReader
from ..data.shard_reader import ShardReader
from ..data.sharding import ShardsConfig

SHORT_SIDE_PX, CROP_PX = 256, 224
Reader = Callable[[list[int]], np.ndarray]


def encode_small(source: pathlib.Path, target: pathlib.Path, gop: int) -> None:
    """Encode as H.264 with a short side of 256."""
    frames = from_the_start(source)
    height, width = frames.shape[1:3]
    window, size = transforms.whole_window(height, width, SHORT_SIDE_PX)
    size_px = [int(side) // 2 * 2 for side in size]
    resampler = transforms.Resampler(
        height, width, window[None].numpy(), size_px
    )
    av = video_container.pyav()
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = size_px
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = gop
        for frame in frames:
            resized = av.VideoFrame.from_ndarray(
                resampler(frame)[0], format="rgb24"
            )
            container.mux(stream.encode(resized))
        container.mux(stream.encode())


def middle(height: int, width: int):
    window = transforms.crop_windows(height, width, SHORT_SIDE_PX, CROP_PX, 1)
    return window.numpy(), (CROP_PX, CROP_PX)


def from_the_start(path: pathlib.Path) -> np.ndarray:
    """Decode all frames in one pass."""
    index = video_index.index_video(path)
    none = np.zeros(0, np.int64)
    counted = video_index.VideoIndex(
        **{**vars(index), "order": "count", "timestamps": none}
    )
    return video_decoder.read_frames(path, range(index.frames), counted)


def ours(path: pathlib.Path, cache: IndexCache) -> Reader:
    source = PyAVReader(cache)
    index = cache.index(str(path))
    window, size_px = middle(index.height, index.width)
    fields = {"path": os.fsencode(path)}
    return lambda numbers: source.read(fields, numbers, window, size_px)[0]


def with_decord(path: pathlib.Path) -> Reader:
    import cv2
    import decord

    cv2.setNumThreads(1)

    def read(numbers):
        reader = decord.VideoReader(str(path), num_threads=1)
        numbers = [min(number, len(reader) - 1) for number in numbers]
        return _scaled(reader.get_batch(numbers).asnumpy())

    return read


def with_opencv(path: pathlib.Path) -> Reader:
    import cv2

    cv2.setNumThreads(1)

    def read(numbers):
        # Versions before 4.6 have no such setting.
        threads = getattr(cv2, "CAP_PROP_N_THREADS", None)
        settings = [] if threads is None else [threads, 1]
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, settings)
        frames: dict[int, np.ndarray] = {}
        position = None
        for number in sorted(set(numbers)):
            if position is None or number < position or number - position > 64:
                capture.set(cv2.CAP_PROP_POS_FRAMES, number)
                position = number
            while position < number:
                capture.grab()
                position += 1
            okay, frame = capture.read()
            position += 1
            if okay:
                last = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            frames[number] = last
        capture.release()
        return _scaled([frames[number] for number in numbers])

    return read


def _scaled(frames) -> np.ndarray:
    """Resize and then crop, as users of these libraries do."""
    import cv2

    height, width = frames[0].shape[:2]
    tall, wide = (
        int(s) for s in transforms.scaled_size(height, width, SHORT_SIDE_PX)
    )
    top_px, left_px = (tall - CROP_PX) // 2, (wide - CROP_PX) // 2
    return np.stack(
        [
            cv2.resize(frame, (wide, tall), interpolation=cv2.INTER_LINEAR)[
                top_px : top_px + CROP_PX, left_px : left_px + CROP_PX
            ]
            for frame in frames
        ]
    )


def write_frames(truth: np.ndarray, folder: pathlib.Path) -> tuple[int, int]:
    """Write JPEG frames with a short side of 256; return their size."""
    folder.mkdir()
    height, width = truth.shape[1:3]
    window, size = transforms.whole_window(height, width, SHORT_SIDE_PX)
    resampler = transforms.Resampler(height, width, window[None].numpy(), size)
    for number, frame in enumerate(truth, 1):
        jpeg = tf.io.encode_jpeg(resampler(frame)[0], quality=90)
        tf.io.write_file(str(folder / f"img_{number:05}.jpg"), jpeg)
    return int(size[0]), int(size[1])


def jpeg_frames(folder, frames: int, size: tuple[int, int]) -> Reader:
    source = FrameFolderReader()
    fields = source.fields(Video(str(folder), frames=frames))
    return _traced(source, fields, size)


def records(path: pathlib.Path, folder: pathlib.Path) -> Reader:
    """Write the video as one record, with the shards command."""
    for name in "ab":  # a data set has classes, and each file counts once
        (folder / "films" / name).mkdir(parents=True)
        shutil.copyfile(path, folder / "films" / name / path.name)
    data = DataConfig(root=str(folder / "films"))
    config = ShardsConfig(data=data, max_frames=10**6, shard_videos=1)
    run = sharding.in_processes(1)
    sharding.make("folder", config, str(folder / "shards"), run)
    shards = DataConfig(root=str(folder / "shards"))
    listing = DATASETS["media_sequence"].read_lists(shards)  # type: ignore[attr-defined]
    (video, *_) = listing.splits["train"]
    source = ShardReader()
    probe = source.probe(video)
    return _traced(source, source.fields(video), (probe.height, probe.width))


def _traced(source, fields, size) -> Reader:
    window, size_px = middle(*size)
    fields = {name: tf.constant(value) for name, value in fields.items()}
    read = tf.function(source.read)

    def read_numbers(numbers):
        numbers = tf.constant(numbers, tf.int64)
        return read(
            fields, numbers, tf.constant(window), tf.constant(size_px)
        ).numpy()[0]

    return read_numbers
