"""Notes on the lists of a data set: what is often a mistake."""

import collections
import concurrent.futures
import os
from collections.abc import Hashable, Iterable

from ..io import tables
from . import file_names
from .listing import Listing, Video

NAMED = 3
PAIRS = (("test", "train"), ("validation", "train"), ("test", "validation"))
THREADS = 16  # that ask the disk at once


def notes(listing: Listing) -> list[str]:
    """Say what was left out, and which videos are listed more than once.

    A video is the same under all names of its file: relative or absolute,
    through links and as a hard link.
    """
    entries = [
        (s, video) for s, videos in listing.splits.items() for video in videos
    ]
    places: dict[Hashable, list[tuple[str, Video]]] = {}
    keys = _identities([video for _, video in entries])
    for key, entry in zip(keys, entries, strict=True):
        places.setdefault(key, []).append(entry)
    several = [group for group in places.values() if len(group) > 1]
    return [
        *listing.notes,
        *_from_one(listing),
        *_labelled_twice(several, listing),
        *_listed_twice(several),
        *_shared(several),
    ]


def _from_one(listing: Listing) -> list[str]:
    """Whether numbers stand for classes, and none is 0."""
    numbers = tuple(str(number) for number in range(len(listing.classes)))
    labels = {
        k for part in listing.splits.values() for v in part for k in v.labels
    }
    if listing.classes != numbers or not labels or min(labels) == 0:
        return []
    return [
        f"no video has the label 0; labels count from 0 to {max(labels)}. If "
        "those of the lists count from 1, subtract 1 from all"
    ]


def _labelled_twice(
    groups: list[list[tuple[str, Video]]], listing: Listing
) -> list[str]:
    texts = []
    for group in groups:
        labels = list(dict.fromkeys(v.labels for _, v in group if v.labels))
        if len(labels) > 1:
            names = [
                " and ".join(listing.classes[k] for k in row) for row in labels
            ]
            paths = dict.fromkeys(video.path for _, video in group)
            texts.append(f"{' = '.join(paths)} ({', '.join(names)})")
    return _line(texts, "with different labels where listed again")


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


def _line(texts: list[str], what: str) -> list[str]:
    if not texts:
        return []
    more = len(texts) - NAMED
    named = "; ".join(map(file_names.printable, texts[:NAMED]))
    named += f"; and {more} more" if more > 0 else ""
    return [f"{tables.number_of(len(texts), 'video')} {what}: {named}"]


def _identities(videos: Iterable[Video]) -> list[Hashable]:
    """What tells videos apart, whatever their files are called."""
    videos = list(videos)
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        files = dict.fromkeys(video.path for video in videos)
        files = dict(zip(files, pool.map(_file, files), strict=True))
    return [
        # A file of records has many videos, and a folder may have several.
        (files[v.path], v.offset, v.first_frame, v.frames)
        for v in videos
    ]


def _file(path: str) -> Hashable:
    try:
        if "://" not in path:
            status = os.stat(path)
            return status.st_dev, status.st_ino
    except (OSError, ValueError):  # it is missing; that is said elsewhere
        return os.path.abspath(path)
    return path
