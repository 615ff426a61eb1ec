"""Warnings about likely mistakes in the lists of a data set."""

import collections
import concurrent.futures
import os
from collections.abc import Hashable, Iterable

from ..io import tables
from . import file_tree
from .manifest import Manifest, Video

PAIRS = (("test", "train"), ("validation", "train"), ("test", "validation"))
THREADS = 16  # for parallel `os.stat`


def notes(manifest: Manifest) -> list[str]:
    """Describe skipped files and videos that are listed more than once.

    Paths, links and hard links to the same file are the same video.
    """
    entries = [
        (s, video) for s, videos in manifest.splits.items() for video in videos
    ]
    groups: dict[Hashable, list[tuple[str, Video]]] = {}
    keys = _identities([video for _, video in entries])
    for key, entry in zip(keys, entries, strict=True):
        groups.setdefault(key, []).append(entry)
    repeated = [group for group in groups.values() if len(group) > 1]
    return [
        *manifest.notes,
        *_labels_from_one(manifest),
        *_labelled_twice(repeated, manifest),
        *_listed_twice(repeated),
        *_shared(repeated),
    ]


def _labels_from_one(manifest: Manifest) -> list[str]:
    """Warn about unnamed classes if no video has label 0."""
    numbers = tuple(str(number) for number in range(len(manifest.classes)))
    labels = {
        k for split in manifest.splits.values() for v in split for k in v.labels
    }
    if manifest.classes != numbers or not labels or min(labels) == 0:
        return []
    return [
        f"no video has the label 0; labels count from 0 to {max(labels)}. If "
        "those of the lists count from 1, subtract 1 from all"
    ]


def _labelled_twice(
    groups: list[list[tuple[str, Video]]], manifest: Manifest
) -> list[str]:
    texts = []
    for group in groups:
        labels = list(dict.fromkeys(v.labels for _, v in group if v.labels))
        if len(labels) > 1:
            names = [
                " and ".join(manifest.classes[k] for k in row) for row in labels
            ]
            paths = dict.fromkeys(video.path for _, video in group)
            texts.append(f"{' = '.join(paths)} ({', '.join(names)})")
    return _line(texts, "listed again with different labels")


def _listed_twice(groups: list[list[tuple[str, Video]]]) -> list[str]:
    counts: dict[str, list[str]] = collections.defaultdict(list)
    for group in groups:
        times = collections.Counter(split for split, _ in group)
        for split, count in times.items():
            if count > 1:
                path = next(v.path for s, v in group if s == split)
                counts[split].append(f"{path} ({count} times)")
    return [
        line
        for split, texts in counts.items()
        for line in _line(texts, f"listed more than once in {split}")
    ]


def _shared(groups: list[list[tuple[str, Video]]]) -> list[str]:
    shared: dict[tuple, list[str]] = collections.defaultdict(list)
    for group in groups:
        paths = {split: video.path for split, video in group}
        for split, other in PAIRS:
            if split in paths and other in paths:
                same = [paths[split], paths[other]]
                shared[split, other].append(" = ".join(dict.fromkeys(same)))
    return [
        line
        for (split, other), texts in shared.items()
        for line in _line(texts, f"of {split} also in {other}")
    ]


def _line(texts: list[str], problem: str) -> list[str]:
    if not texts:
        return []
    count = tables.number_of(len(texts), "video")
    return [f"{count} {problem}: {file_tree.abbreviated(texts)}"]


def _identities(videos: Iterable[Video]) -> list[Hashable]:
    """Return a key for each video, the same for all paths to it."""
    videos = list(videos)
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        files = dict.fromkeys(video.path for video in videos)
        files = dict(zip(files, pool.map(_file, files), strict=True))
    return [
        # A shard has many videos, and a folder of frames may have several.
        (files[v.path], v.offset, v.first_frame, v.frames)
        for v in videos
    ]


def _file(path: str) -> Hashable:
    try:
        if "://" not in path:
            status = os.stat(path)
            return status.st_dev, status.st_ino
    except (OSError, ValueError):  # missing files are reported elsewhere
        return os.path.abspath(path)
    return path
