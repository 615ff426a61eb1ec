"""Index of shards, `index.json` beside them.

It has the length and labels of all records, so that shards need not be scanned,
and checksums to detect damage.
"""

import dataclasses
import json
import os
import threading
from typing import Any

import numpy as np

from ..io import json_text, paths
from ..io.user_error import UserError
from . import folder_paths, text_files
from .clip_reader import Probe
from .manifest import Span
from .sequence_examples import RecordLabels

NAME = "index.json"
# Folder of completion files; hidden, so that patterns for shards do not match.
NOTES = ".shards"
FORMAT = "nonlocal_tf shards"
VERSION = 1


@dataclasses.dataclass(frozen=True)
class ShardRecord:
    """One record of a shard.

    Attributes:
        offset: offset in the shard, in bytes.
        frames: number of frames.
        height: height of a frame, in pixels.
        width: width of a frame, in pixels.
        fps: frames per second; 0.0 if unknown.
        labels: indices of its classes.
        spans: times of the labels, in seconds from the first frame.
        edges_s: as in `FrameTimes`; None for evenly spaced frames.
    """

    offset: int
    frames: int
    height: int
    width: int
    fps: float
    labels: tuple[int, ...]
    spans: tuple[Span, ...]
    edges_s: tuple[float, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of records.

    Attributes:
        name: file name.
        split: split of its videos.
        sha256: SHA-256 digest of the file.
        size_bytes: size of the file.
        videos: number of videos, including bad ones.
        records: its records; a long video has several.
        bad: (path, reason) of each video that could not be read.
    """

    name: str
    split: str
    sha256: str
    size_bytes: int
    videos: int
    records: tuple[ShardRecord, ...]
    bad: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class ShardIndex:
    """All shards of a folder.

    Attributes:
        classes: class names in the order of the labels.
        multi_label: whether a video may have several classes or none.
        settings: settings that the shards were written with.
        shards: shards in the order of their names.
        skips_unlabelled: as in `Listing`.
    """

    classes: tuple[str, ...]
    multi_label: bool
    settings: dict[str, Any]
    shards: tuple[Shard, ...]
    skips_unlabelled: bool = False


def to_json(index: ShardIndex) -> str:
    """Serialize an index, with one shard per line."""
    head = {
        "format": FORMAT,
        "version": VERSION,
        "classes": index.classes,
        "multi_label": index.multi_label,
        "skips_unlabelled": index.skips_unlabelled,
        "settings": index.settings,
    }
    shards = ",\n".join(to_line(shard) for shard in index.shards)
    return f'{json.dumps(head)[:-1]}, "shards": [\n{shards}\n]}}\n'


def to_line(shard: Shard) -> str:
    """Serialize a shard as one line."""
    values = dataclasses.asdict(shard)
    for record in values["records"]:
        if record["edges_s"] is None:
            del record["edges_s"]
    return json.dumps(values)


def describe(offset: int, probe: Probe, content: RecordLabels) -> ShardRecord:
    """Return the index entry of a record.

    Args:
        offset: offset in the shard, in bytes.
        probe: count, size and rate of its frames.
        content: its labels.
    """
    edges_s = probe.edges_s
    return ShardRecord(
        offset,
        probe.frames,
        probe.height,
        probe.width,
        probe.fps,
        content.labels,
        content.spans,
        None if edges_s is None else tuple(edges_s.round(6).tolist()),
    )


def probe_of(record: ShardRecord) -> Probe:
    """Return count, size and rate of the frames of a record."""
    edges_s = record.edges_s
    return Probe(
        record.frames,
        record.height,
        record.width,
        record.fps,
        None if edges_s is None else np.array(edges_s),
    )


def shard_from_json(values: dict) -> Shard:
    """Deserialize a shard from the JSON object of `to_line`."""
    records = tuple(map(_record, values["records"]))
    bad = tuple((path, reason) for path, reason in values["bad"])
    return json_text.build(Shard, {**values, "records": records, "bad": bad})


def read(folder: str) -> ShardIndex | None:
    """Read the index of a folder; None without one of this program.

    Raises:
        UserError: it is damaged or of another version, or not all shards are
            written yet.
    """
    path = folder_paths.join_path(folder, NAME)
    if not paths.as_path(path).exists():
        if paths.as_path(folder_paths.join_path(folder, NOTES)).exists():
            raise UserError(
                f"Not all shards in {folder} are written. Run the command "
                "that writes them again; finished shards are kept."
            )
        return None
    values = text_files.read_json(path)
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        return None
    if values.get("version") != VERSION:
        raise UserError(
            f"Expected version {VERSION} of {path}. "
            f"Received: {values.get('version')}"
        )
    try:
        return ShardIndex(
            tuple(values["classes"]),
            values["multi_label"],
            values["settings"],
            tuple(map(shard_from_json, values["shards"])),
            # Missing in files of older versions.
            bool(values.get("skips_unlabelled", False)),
        )
    except (KeyError, TypeError, ValueError) as error:
        is_plain = isinstance(error, json_text.FieldsError)
        reason = str(error) if is_plain else repr(error)
        raise UserError(
            f"{path} is damaged ({reason}). Delete it; the shards are then "
            "scanned, which takes longer."
        ) from error


class ShardIndexReader:
    """Reads the index of each folder once; thread-safe."""

    def __init__(self):
        self._lock = threading.Lock()
        self._read: dict[str, ShardIndex | None] = {}
        self._shards: dict[str, Shard] = {}
        self._records: dict[tuple[str, int], ShardRecord] = {}

    def of(self, path: str) -> ShardIndex | None:
        """Return the index of the folder of a shard."""
        folder = os.path.dirname(path)
        with self._lock:
            if folder not in self._read:
                index = self._read[folder] = read(folder)
                for shard in index.shards if index else ():
                    where = folder_paths.join_path(folder, shard.name)
                    self._shards[where] = shard
                    for record in shard.records:
                        self._records[where, record.offset] = record
            return self._read[folder]

    def shard(self, path: str) -> Shard | None:
        """Return the index entry of a shard."""
        self.of(path)
        return self._shards.get(path)

    def record(self, path: str, offset: int) -> ShardRecord | None:
        """Return the index entry of a record."""
        self.of(path)
        return self._records.get((path, offset))


def _record(values: dict) -> ShardRecord:
    spans = (json_text.build(Span, span) for span in values["spans"])
    fields = {
        **values,
        "labels": tuple(values["labels"]),
        "spans": tuple(spans),
        "edges_s": _numbers(values.get("edges_s")),
    }
    return json_text.build(ShardRecord, fields)


def _numbers(values: list | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(map(float, values))
