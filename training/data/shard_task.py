"""The work for one shard: decode, scale, encode, write.

A task says all that decides the shard's bytes, so where and when it is done
makes no difference: in this process, in one beside it, or by Apache Beam.
"""

import contextlib
import dataclasses
import errno
import os
from collections.abc import Iterator, Sequence

import tensorflow as tf

from ..io import atomic_files, json_text, remote
from ..io.progress import Progress
from ..io.url_path import UrlPath
from . import file_names, jpegs, sequence_examples, shard_index
from .listing import Span, Video, inside
from .sequence_examples import Content
from .shard_index import Record, Shard
from .sources import Probe, VideoError
from .video_limits import Limits


@dataclasses.dataclass(frozen=True)
class Task:
    """One shard to write.

    Attributes:
        name: of the file.
        folder: that it comes into.
        split: that its videos are of.
        videos: in this order.
        source: the storage they are in: "videos" or "frames".
        root: what their names are relative to.
        dataset: its name.
        classes: names of all labels.
        short_side_px: that larger frames are scaled to.
        quality: of the JPEGs, up to 100.
        max_frames: longer videos become several records; None to keep whole.
        limits: of what reading a video file may take.
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


def run(task: Task) -> Shard:
    """Writes a shard, and a note that it is finished.

    Raises:
        OSError: it cannot be written; nothing half-written stays.
    """
    path = inside(task.folder, task.name)
    try:
        with _new_file(task) as scratch:
            shard = _write(task, scratch)
    except tf.errors.ResourceExhaustedError as error:
        raise OSError(errno.ENOSPC, "No space left", path) from error
    except tf.errors.OpError as error:
        raise OSError(errno.EIO, error.message, path) from error
    note = remote.as_path(note_path(task.folder, task.name))
    atomic_files.write_text(note, shard_index.to_line(shard))
    return shard


def _write(task: Task, scratch: str) -> Shard:
    """Write the records of a shard to a file."""
    records: list[Record] = []
    bad: list[tuple[str, str]] = []
    offset = 0
    with tf.io.TFRecordWriter(scratch) as writer:
        shown = Progress(len(task.videos), f"videos of {task.name}")
        for done, video in enumerate(task.videos):
            shown.at(done)
            try:
                made = list(make_records(video, task))
            except VideoError as error:
                name = relative(video.path, task.root)
                name = file_names.printable(name)
                bad.append((name, " ".join(str(error).split())))
                continue
            for content, record in made:
                writer.write(content)
                records.append(dataclasses.replace(record, offset=offset))
                offset += len(content) + 16  # two lengths' and checksums
    shard = Shard(
        name=task.name,
        split=task.split,
        sha256=atomic_files.sha256(remote.as_path(scratch)),
        size_bytes=tf.io.gfile.stat(scratch).length,
        videos=len(task.videos),
        records=tuple(records),
        bad=tuple(bad),
    )
    if shard.size_bytes != offset:
        path = inside(task.folder, task.name)
        raise OSError(errno.EIO, "written in part", path)
    return shard


@contextlib.contextmanager
def _new_file(task: Task) -> Iterator[str]:
    """Yield a scratch file that becomes the shard when the block ends well."""
    path = remote.as_path(inside(task.folder, task.name))
    if not isinstance(path, UrlPath):
        with atomic_files.new_file(path) as local:
            yield str(local)
        return
    scratch = inside(task.folder, atomic_files.SCRATCH_PREFIX + task.name)
    try:
        yield scratch
        tf.io.gfile.rename(scratch, str(path), overwrite=True)
    except BaseException:
        discard([task])
        raise


def discard(tasks: Sequence[Task]) -> None:
    """Remove what was written of shards that did not become finished.

    Args:
        tasks: of one folder, which nobody writes to now.
    """
    for folder in {task.folder for task in tasks}:
        atomic_files.remove_scratch(remote.as_path(folder), stale_s=0)
    for task in tasks:
        if "://" in task.folder:
            scratch = inside(
                task.folder, atomic_files.SCRATCH_PREFIX + task.name
            )
            with contextlib.suppress(tf.errors.NotFoundError):
                tf.io.gfile.remove(scratch)


def finished(task: Task) -> Shard | None:
    """The shard if it was written before."""
    note = note_path(task.folder, task.name)
    path = inside(task.folder, task.name)
    try:
        with tf.io.gfile.GFile(note, "r") as file:
            shard = shard_index.shard_from_json(json_text.parse(file.read()))
        size = tf.io.gfile.stat(path).length
    except (tf.errors.OpError, KeyError, TypeError, ValueError):
        return None  # not there, or stopped while it was written
    return shard if size == shard.size_bytes else None


def make_records(video: Video, task: Task) -> list[tuple[bytes, Record]]:
    """The records of a video; their offsets are still to come.

    Raises:
        VideoError: it cannot be read.
    """
    whole = jpegs.read(
        video, task.source, task.short_side_px, task.quality, task.limits
    )
    count = len(whole.jpegs)
    parts = -(-count // task.max_frames) if task.max_frames else 1
    if parts > 1 and video.spans and whole.times_s is None:
        raise VideoError("its labels have times, but its frames have no rate")
    name = relative(video.path, task.root)
    made = []
    for part in range(parts):
        # Parts as long as each other: not 300 frames and then 1.
        first, end = count * part // parts, count * (part + 1) // parts
        times, end_s, content = None, 0.0, labelled(video, task.classes)
        if whole.times_s is not None:
            times = whole.times_s[first:end]
            end_s = whole.times_s[end] if end < count else whole.end_s
            end_s = float(end_s)
            if parts > 1:
                content = seen_in(content, float(times[0]), end_s)
        probe = _part_of(whole.probe, first, end)
        texts = {
            "clip/data_path": name,
            "clip/media_id": os.path.splitext(name)[0],
            "example/id": f"{name}:{part}" if parts > 1 else name,
            "example/dataset_name": task.dataset,
        }
        frames = whole.jpegs[first:end]
        record = sequence_examples.encode(
            frames, probe, content, times, end_s, texts
        )
        described = shard_index.describe(0, probe, content)
        made.append((record, described))
    return made


def _part_of(probe: Probe, first: int, end: int) -> Probe:
    """What is known of some frames of a video."""
    edges_s = probe.edges_s
    if edges_s is not None:
        edges_s = edges_s[first : end + 1] - edges_s[first]
    return dataclasses.replace(probe, frames=end - first, edges_s=edges_s)


def labelled(video: Video, classes: tuple[str, ...]) -> Content:
    """What a list says of a video, with names."""
    labels = tuple(
        dict.fromkeys([*video.labels, *(s.label for s in video.spans)])
    )
    return Content(labels, tuple(classes[i] for i in labels), video.spans)


def seen_in(content: Content, start_s: float, end_s: float) -> Content:
    """The labels that are seen in a part of a video, timed from its start."""
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
    seen = {span.label for span in spans}
    kept = [
        (label, name)
        for label, name in zip(content.labels, content.names, strict=True)
        if label in seen or label not in timed
    ]
    return Content(
        tuple(label for label, _ in kept),
        tuple(name for _, name in kept),
        spans,
    )


def relative(path: str, root: str) -> str:
    """`path` as the data set knows it, wherever that is kept."""
    prefix = root.rstrip("/") + "/"
    return path.removeprefix(prefix) if root else path


def note_path(folder: str, name: str) -> str:
    """Where it is noted that a shard is finished."""
    return inside(folder, f"{shard_index.NOTES}/{name}.json")
