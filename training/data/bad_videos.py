"""Find unreadable videos of a data set, and list them in a csv file."""

import concurrent.futures
import csv
import dataclasses
import io
import os
import threading
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from ..io import atomic_files, file_names, quoting
from ..io.paths import Path
from ..io.progress import Progress
from ..io.user_error import UserError
from . import clip_reader, file_tree, transforms
from .clip_reader import ClipReader, Probe, VideoError
from .manifest import Video
from .video_split import VideoSplit

# `read_all_frames` reads this many frames at a time, at this size.
FRAMES_PER_READ = 64
SHORT_SIDE_PX = 32
FILE_NAME = "bad_videos.csv"
ADVICE = (
    "Repair or delete them, or raise data.max_bad_share; "
    "nonlocal-tf check lists them all."
)


@dataclasses.dataclass(frozen=True)
class BadVideo:
    """A video left out because it cannot be read, with the reason."""

    split: str
    path: str
    reason: str


class BadVideoLog:
    """Thread-safe record of the unreadable videos of a data set.

    Videos are identified by split, stage and index: "listed" videos by their
    index in the manifest, "read" ones by their index among readable videos.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._videos: dict[tuple[str, str, int], BadVideo] = {}

    def add(
        self, split: str, stage: str, index: int, path: str, error: Exception
    ) -> None:
        """Record a video and the error of reading it."""
        reason = str(getattr(error, "message", "") or error)
        video = BadVideo(
            split, file_names.printable(path), " ".join(reason.split())
        )
        with self._lock:
            self._videos[split, stage, index] = video

    def get(self, split: str, stage: str, index: int) -> BadVideo:
        """Return a recorded video."""
        with self._lock:
            return self._videos[split, stage, index]

    def videos(self) -> list[BadVideo]:
        """Return all recorded videos."""
        with self._lock:
            return list(self._videos.values())

    def indices(self, split: str, stage: str) -> set[int]:
        """Return the indices of recorded videos of a split and stage."""
        with self._lock:
            return {key[2] for key in self._videos if key[:2] == (split, stage)}


def probe_all(
    source: ClipReader, videos: list[Video]
) -> list[Probe | VideoError]:
    """Probe videos in parallel; errors are returned, not raised."""

    def probe(video):
        if not file_names.is_text(video.path):
            return VideoError(file_names.NOT_TEXT)
        try:
            return source.probe(video)
        except VideoError as error:
            return error

    progress = Progress(len(videos), "videos checked")
    probes = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(probe, videos):
            probes.append(result)
            progress.update(len(probes))
    return probes


def read_all_frames(
    reader: ClipReader, split: VideoSplit, log: BadVideoLog
) -> None:
    """Read every frame of a split, logging videos that cannot be read."""
    read = reader.read
    if reader.tf_ops:
        read = clip_reader.evaluated(tf.function(read, reduce_retracing=True))

    def check(index):
        video, probe = split.pairs[index]
        window, size_px = transforms.whole_window(
            probe.height, probe.width, SHORT_SIDE_PX
        )
        fields = reader.fields(video)
        try:
            for first in range(0, probe.frames, FRAMES_PER_READ):
                # Always as many, so that the function is traced once.
                numbers = np.arange(first, first + FRAMES_PER_READ)
                numbers = np.minimum(numbers, probe.frames - 1)
                read(fields, numbers, window[None], size_px)
        except (VideoError, tf.errors.OpError) as error:
            log.add(split.name, "read", index, video.path, error)

    progress = Progress(len(split), f"videos of {split.name} read")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for count, _ in enumerate(pool.map(check, range(len(split))), 1):
            progress.update(count)


def write_bad_videos(path: Path, bad: Sequence[BadVideo]) -> None:
    """Write the list of bad videos; remove it if there are none.

    Raises:
        OSError: it cannot be written.
    """
    if not bad:
        path.unlink(missing_ok=True)
        return
    atomic_files.write_text(path, as_csv(bad))


def read_bad_videos(path: Path) -> list[BadVideo]:
    """Read the list of bad videos; [] if the file does not exist."""
    if not path.exists():
        return []
    # Not `read_text`: file names may contain carriage returns.
    text = path.read_bytes().decode("utf-8")
    rows = csv.reader(io.StringIO(text, newline=""))
    return [BadVideo(*row) for row in list(rows)[1:] if len(row) == 3]


def as_csv(bad: Sequence[BadVideo]) -> str:
    """Format a list of bad videos as csv."""
    rows = ((b.split, b.path, b.reason) for b in bad)
    return quoting.csv_text([("split", "path", "reason"), *rows])


def check_share(
    bad: Sequence[BadVideo],
    listed: int,
    max_share: float,
    advice: str = ADVICE,
) -> None:
    """Raise a UserError if too many videos are bad.

    Args:
        bad: bad videos.
        listed: number of all videos.
        max_share: highest allowed share of bad videos.
        advice: end of the error message.
    """
    if len(bad) > max_share * listed:
        raise UserError(
            f"{len(bad)} of {listed} videos cannot be read, more than "
            f"data.max_bad_share={max_share} of them.{abbreviated(bad)} "
            f"{advice}"
        )


def check_max_share(max_share: float) -> None:
    """Raise a UserError unless `max_share` is from 0 to 1."""
    if not 0 <= max_share <= 1:
        raise UserError(
            f"Expected data.max_bad_share from 0 to 1. Received: {max_share}"
        )


def abbreviated(bad: Sequence[BadVideo]) -> str:
    """Name the first bad videos and reasons, as the end of a message."""
    if not bad:
        return ""
    texts = [f"{video.path}: {video.reason}" for video in bad]
    return f" Bad: {file_tree.abbreviated(texts)}."
