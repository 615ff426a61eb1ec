"""Write one shard: decode, resize, encode, write.

A task determines the bytes of its shard, so it may run in this process, in
another one, or in Apache Beam.
"""

import contextlib
import dataclasses
import errno
import os
import pathlib
import tempfile
from collections.abc import Iterator, Sequence

import tensorflow as tf

from ..io import atomic_files, file_names, json_text, paths
from ..io.progress import Progress
from . import jpeg_frames, sequence_examples, shard_index, tfrecords
from .clip_reader import Probe, VideoError
from .folder_paths import join_path
from .manifest import Span, Video
from .sequence_examples import RecordLabels
from .shard_index import Shard, ShardRecord
from .video_limits import Limits


@dataclasses.dataclass(frozen=True)
class ShardTask:
    """One shard to write.

    Attributes:
        name: file name.
        folder: output folder.
        split: split of its videos.
        videos: videos in this order.
        source: storage of the videos, "videos" or "frames".
        root: folder that video names are relative to.
        dataset: name of the data set.
        classes: class names in the order of the labels.
        short_side_px: short side to which larger frames are resized.
        quality: JPEG quality, up to 100.
        max_frames: longer videos become several records; None for one record
            per video.
        limits: resource limits of decoding.
    """

    name: str
    folder: str
    split: str
    videos: tuple[Video, ...]
    source: str
    root: str
    dataset: str
    classes: tuple[str, ...]
    short_side_px: int
    quality: int
    max_frames: int | None
    limits: Limits = Limits()


def run(task: ShardTask) -> Shard:
    """Write a shard and its completion file.

    Raises:
        OSError: it cannot be written; partial files are removed.
    """
    path = join_path(task.folder, task.name)
    try:
        with _new_file(task) as scratch:
            shard = _write(task, scratch)
    except tf.errors.ResourceExhaustedError as error:
        raise OSError(errno.ENOSPC, "No space left", path) from error
    except tf.errors.OpError as error:
        raise OSError(errno.EIO, error.message, path) from error
    note = paths.as_path(note_path(task.folder, task.name))
    atomic_files.write_text(note, shard_index.to_line(shard))
    return shard


def _write(task: ShardTask, scratch: str) -> Shard:
    """Write the records of a shard to a scratch file."""
    records: list[ShardRecord] = []
    bad: list[tuple[str, str]] = []
    offset = 0
    with tf.io.TFRecordWriter(scratch) as writer:
        progress = Progress(len(task.videos), f"videos of {task.name}")
        for number, video in enumerate(task.videos):
            progress.update(number)
            try:
                encoded = encode_records(video, task)
            except VideoError as error:
                name = relative(video.path, task.root)
                name = file_names.printable(name)
                bad.append((name, " ".join(str(error).split())))
                continue
            for content, record in encoded:
                writer.write(content)
                records.append(dataclasses.replace(record, offset=offset))
                offset += (
                    tfrecords.HEAD_BYTES + len(content) + tfrecords.FOOT_BYTES
                )
    shard = Shard(
        name=task.name,
        split=task.split,
        sha256=atomic_files.sha256(paths.as_path(scratch)),
        size_bytes=os.path.getsize(scratch),
        videos=len(task.videos),
        records=tuple(records),
        bad=tuple(bad),
    )
    if shard.size_bytes != offset:
        path = join_path(task.folder, task.name)
        raise OSError(errno.EIO, "written in part", path)
    return shard


@contextlib.contextmanager
def _new_file(task: ShardTask) -> Iterator[str]:
    """Yield a local file that becomes the shard if the block succeeds."""
    path = paths.as_path(join_path(task.folder, task.name))
    if isinstance(path, paths.UrlPath):
        with tempfile.TemporaryDirectory() as folder:
            local = pathlib.Path(folder) / task.name
            yield str(local)
            path.upload(local)
    else:
        with atomic_files.new_file(path) as local:
            yield str(local)


def discard(tasks: Sequence[ShardTask]) -> None:
    """Remove scratch files of unfinished shards.

    Args:
        tasks: tasks that no process is running.
    """
    for folder in {task.folder for task in tasks}:
        atomic_files.remove_scratch(paths.as_path(folder), stale_s=0)


def finished(task: ShardTask) -> Shard | None:
    """Return the shard if it is already written."""
    note = note_path(task.folder, task.name)
    path = join_path(task.folder, task.name)
    try:
        content = json_text.parse(paths.as_path(note).read_bytes())
        shard = shard_index.shard_from_json(content)
        size = paths.as_path(path).stat().st_size
    except (OSError, KeyError, TypeError, ValueError):
        return None  # missing or incomplete
    return shard if size == shard.size_bytes else None


def encode_records(
    video: Video, task: ShardTask
) -> list[tuple[bytes, ShardRecord]]:
    """Encode the records of a video, with index entries without offsets.

    Raises:
        VideoError: it cannot be read.
    """
    whole = jpeg_frames.read(
        video, task.source, task.short_side_px, task.quality, task.limits
    )
    count = len(whole.jpegs)
    segments = -(-count // task.max_frames) if task.max_frames else 1
    if segments > 1 and video.spans and whole.times_s is None:
        raise VideoError("its labels have times, but its frames have no rate")
    name = relative(video.path, task.root)
    records = []
    for segment in range(segments):
        # Of equal length: not 300 frames and then 1.
        first = count * segment // segments
        stop = count * (segment + 1) // segments
        times, end_s, content = None, 0.0, content_of(video, task.classes)
        if whole.times_s is not None:
            times = whole.times_s[first:stop]
            end_s = whole.times_s[stop] if stop < count else whole.end_s
            end_s = float(end_s)
            if segments > 1:
                content = content_between(content, float(times[0]), end_s)
        probe = _sliced(whole.probe, first, stop)
        texts = {
            "clip/data_path": name,
            "clip/media_id": os.path.splitext(name)[0],
            "example/id": f"{name}:{segment}" if segments > 1 else name,
            "example/dataset_name": task.dataset,
        }
        frames = whole.jpegs[first:stop]
        record = sequence_examples.encode(
            frames, probe, content, times, end_s, texts
        )
        records.append((record, shard_index.describe(0, probe, content)))
    return records


def _sliced(probe: Probe, first: int, stop: int) -> Probe:
    """Return the probe of a range of frames."""
    edges_s = probe.edges_s
    if edges_s is not None:
        edges_s = edges_s[first : stop + 1] - edges_s[first]
    return dataclasses.replace(probe, frames=stop - first, edges_s=edges_s)


def content_of(video: Video, classes: tuple[str, ...]) -> RecordLabels:
    """Return the labels of a video, with class names."""
    labels = tuple(
        dict.fromkeys([*video.labels, *(s.label for s in video.spans)])
    )
    return RecordLabels(labels, tuple(classes[i] for i in labels), video.spans)


def content_between(
    content: RecordLabels, start_s: float, end_s: float
) -> RecordLabels:
    """Return the labels of a segment of a video, timed from its start."""
    timed = {span.label for span in content.spans}
    spans = tuple(
        Span(
            span.label,
            max(span.start_s - start_s, 0.0),
            min(span.end_s, end_s) - start_s,
        )
        for span in content.spans
        if span.start_s < end_s and span.end_s >= start_s
    )
    inside_labels = {span.label for span in spans}
    kept = [
        (label, name)
        for label, name in zip(content.labels, content.names, strict=True)
        if label in inside_labels or label not in timed
    ]
    return RecordLabels(
        tuple(label for label, _ in kept),
        tuple(name for _, name in kept),
        spans,
    )


def relative(path: str, root: str) -> str:
    """Return a path relative to the root of the data set."""
    prefix = root.rstrip("/") + "/"
    return path.removeprefix(prefix) if root else path


def note_path(folder: str, name: str) -> str:
    """Return the path of the completion file of a shard."""
    return join_path(folder, f"{shard_index.NOTES}/{name}.json")
