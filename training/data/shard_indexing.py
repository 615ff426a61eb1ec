"""Index shards of other programs."""

import os

from ..io import atomic_files, paths
from ..io.user_error import UserError
from . import (
    folder_paths,
    sequence_examples,
    shard_index,
    shard_reader,
    tfrecords,
)
from .clip_reader import VideoError
from .manifest import Video
from .shard_index import Shard, ShardIndex, ShardRecord


def write_index(pattern: str) -> str:
    """Scan shards and write `index.json`.

    Args:
        pattern: glob pattern of the shards, all in one folder.

    Returns:
        A summary for the screen.

    Raises:
        UserError: no file matches, a shard is damaged, or `index.json` exists.
    """
    shard_paths = folder_paths.glob_files(pattern)
    if not shard_paths:
        raise UserError(f"Expected shards as {pattern}. Received: no file.")
    folder = os.path.dirname(pattern)
    index_path = folder_paths.join_path(folder, shard_index.NAME)
    if paths.as_path(index_path).exists():
        raise UserError(f"{index_path} already exists.")
    atomic_files.check_writable(paths.as_path(index_path))
    names: dict[int, str] = {}
    shards = tuple(_scan(path, names) for path in shard_paths)
    labels = {
        label
        for shard in shards
        for record in shard.records
        for label in record.labels
    }
    count = max(labels, default=-1) + 1
    index = ShardIndex(
        tuple(names.get(label, str(label)) for label in range(count)),
        any(len(r.labels) > 1 for shard in shards for r in shard.records),
        {},
        shards,
    )
    atomic_files.write_text(
        paths.as_path(index_path), shard_index.to_json(index)
    )
    bad = [f"{s.name}: {reason}" for s in shards for _, reason in s.bad]
    good = sum(len(shard.records) for shard in shards)
    text = f"{index_path}: {len(shards)} shards, {good} records"
    return "\n".join([f"{text}, {len(bad)} bad", *bad])


def _scan(path: str, names: dict[int, str]) -> Shard:
    good: list[ShardRecord] = []
    bad: list[tuple[str, str]] = []
    for location in tfrecords.locate(path):
        name = f"record {location.number}"
        try:
            example = shard_reader.read_record(
                Video(path, offset=location.offset)
            )
            probe = sequence_examples.probe_of(example)
            content = sequence_examples.content_of(example)
        except VideoError as error:
            bad.append((name, f"{name}: {' '.join(str(error).split())}"))
            continue
        sequence_examples.learn_names(content, names, f"{path}, {name}")
        good.append(shard_index.describe(location.offset, probe, content))
    return Shard(
        name=os.path.basename(path),
        split="",
        sha256=atomic_files.sha256(paths.as_path(path)),
        size_bytes=paths.as_path(path).stat().st_size,
        videos=len(good) + len(bad),
        records=tuple(good),
        bad=tuple(bad),
    )
