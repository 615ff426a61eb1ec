"""An index for shards that another program made."""

import os

import tensorflow as tf

from ..io import atomic_files, remote
from ..io.user_error import UserError
from . import listing, records, sequence_examples, shard_index, tfrecords
from .listing import Video
from .shard_index import Index, Record, Shard
from .sources import VideoError


def write_index(pattern: str) -> str:
    """Reads shards once, so that runs need not, and writes `index.json`.

    Args:
        pattern: that the files match, all in one folder.

    Returns:
        What was found, as text.

    Raises:
        UserError: there are none, they are damaged, or there is a file
            `index.json` already.
    """
    paths = listing.matching(pattern)
    if not paths:
        raise UserError(f"Expected shards as {pattern}. Received: no file.")
    folder = os.path.dirname(pattern)
    index_path = listing.inside(folder, shard_index.NAME)
    if tf.io.gfile.exists(index_path):
        raise UserError(f"{index_path} exists already.")
    atomic_files.check_writable(remote.as_path(index_path))
    names: dict[int, str] = {}
    shards = tuple(_scan(path, names) for path in paths)
    labels = {
        label
        for shard in shards
        for record in shard.records
        for label in record.labels
    }
    count = max(labels, default=-1) + 1
    index = Index(
        tuple(names.get(label, str(label)) for label in range(count)),
        any(len(r.labels) > 1 for shard in shards for r in shard.records),
        {},
        shards,
    )
    atomic_files.write_text(
        remote.as_path(index_path), shard_index.to_json(index)
    )
    bad = [f"{s.name}: {reason}" for s in shards for _, reason in s.bad]
    good = sum(len(shard.records) for shard in shards)
    text = f"{index_path}: {len(shards)} shards, {good} records"
    return "\n".join([f"{text}, {len(bad)} left out", *bad])


def _scan(path: str, names: dict[int, str]) -> Shard:
    found: list[Record] = []
    bad: list[tuple[str, str]] = []
    for place in tfrecords.places(path):
        try:
            example = records.read_record(Video(path, offset=place.offset))
            probe = sequence_examples.probe_of(example)
            content = sequence_examples.content_of(example)
        except VideoError as error:
            name = f"record {place.number}"
            bad.append((name, f"{name}: {' '.join(str(error).split())}"))
            continue
        sequence_examples.learn_names(content, names, f"{path}, {place.number}")
        found.append(shard_index.describe(place.offset, probe, content))
    return Shard(
        name=os.path.basename(path),
        split="",
        sha256=atomic_files.sha256(remote.as_path(path)),
        size_bytes=tf.io.gfile.stat(path).length,
        videos=len(found) + len(bad),
        records=tuple(found),
        bad=tuple(bad),
    )
