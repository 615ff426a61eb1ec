"""Stratified splits of class folders: by file, by group, and in k folds.

A split is a function of the names of classes, files and groups alone.
"""

import collections
import hashlib
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ..io import file_names, tables
from ..io.user_error import UserError
from . import data_config, text_files
from .data_config import DataConfig

# Paths of videos by class, and by path in the folder of the class.
Classes = dict[str, dict[str, str]]
Member = tuple[str, str]  # class, path in its folder
HELD_OUT = 0.15  # share of each of validation and test
COLUMNS = ("video", "group")


def divide(
    classes: Classes, data: DataConfig
) -> tuple[dict[str, Classes], list[str]]:
    """Divide the videos of each class into splits.

    Args:
        classes: the videos.
        data: `split`, `groups`, `folds` and `fold`.

    Returns:
        The videos by split, and notes for the screen.

    Raises:
        UserError: the settings are wrong, or the file of groups is.
    """
    _check(data)
    seed = "" if data.split == 1 else f"{data.split}/"
    if data.folds is None and data.groups is None:
        return _divide(classes, seed), []
    members = [(name, file) for name in classes for file in classes[name]]
    groups: dict[Any, list[Member]] = {member: [member] for member in members}
    notes = []
    if data.groups is not None:
        groups, ungrouped = _grouped(members, data.groups)
        if ungrouped:
            count = tables.number_of(len(ungrouped), "video")
            first = file_names.printable("/".join(ungrouped[0]))
            notes.append(
                f"{count} without a group in {data.groups}, each a group of "
                f"its own: {first}{', ...' * (len(ungrouped) > 1)}"
            )
    if data.folds is None:
        splits = _in_shares(
            groups,
            {
                "train": 1 - 2 * HELD_OUT,
                "validation": HELD_OUT,
                "test": HELD_OUT,
            },
            seed,
        )
        _check_training(classes, splits)
    else:
        parts = _folds(groups, data.folds, seed)
        for number, part in enumerate(parts):
            _check_training(classes, part, f" in fold {number}")
        splits = parts[data.fold]
    return {s: _by_class(classes, splits[s]) for s in data_config.SPLITS}, notes


def _check(data: DataConfig) -> None:
    if data.split < 1:
        raise UserError(f"Expected data.split from 1. Received: {data.split}")
    if data.folds is None and data.fold != 0:
        raise UserError(
            "data.fold is the number of one of data.folds. Give both. "
            f"Received: data.fold={data.fold}"
        )
    if data.folds is None:
        return
    if data.folds < 2:
        raise UserError(f"Expected data.folds from 2. Received: {data.folds}")
    if not 0 <= data.fold < data.folds:
        raise UserError(
            f"Expected data.fold from 0 to {data.folds - 1}. "
            f"Received: {data.fold}"
        )


def _grouped(
    members: Sequence[Member], path: str
) -> tuple[dict[Any, list[Member]], list[Member]]:
    """Return the videos of each group, and those that no group has.

    Raises:
        UserError: the file of groups cannot be read, or names other videos.
    """
    names: dict[str, str] = {}
    known = {"/".join(member) for member in members}
    for row, where in text_files.read_table(path, COLUMNS):
        video, group = row["video"].strip(), row["group"].strip()
        if video not in known:
            raise UserError(
                f"{where}: expected the path of a video in data.root, such as "
                f"{file_names.printable(min(known))}. Received: {video!r}"
            )
        before = names.get(video, group)
        if not group or before != group:
            raise UserError(
                f"{where}: expected one group of {video}. Received: "
                f"{group or 'none'!r}{f' after {before!r}' if before else ''}"
            )
        names[video] = group
    groups: dict[Any, list[Member]] = collections.defaultdict(list)
    for member in members:
        # A text and a pair differ, so no video is in a group by its name.
        groups[names.get("/".join(member), member)].append(member)
    ungrouped = [m for m in members if "/".join(m) not in names]
    return dict(groups), ungrouped


def _folds(
    groups: Mapping[Any, list[Member]], folds: int, seed: str
) -> list[dict[str, list[Member]]]:
    """Test on each of k folds, and validate on a share of the others."""
    if len(groups) < folds:
        raise UserError(
            f"Expected data.folds up to the number of groups, {len(groups)}. "
            f"Received: {folds}"
        )
    number_of = assigned(groups, [1] * folds, seed)
    parts = []
    for fold in range(folds):
        held = [key for key in groups if number_of[key] == fold]
        splits = _in_shares(
            {key: groups[key] for key in groups if number_of[key] != fold},
            {"train": 1 - HELD_OUT, "validation": HELD_OUT},
            seed,
        )
        test = [member for key in held for member in groups[key]]
        parts.append({**splits, "test": test})
    return parts


def _check_training(
    classes: Classes, splits: Mapping[str, Sequence[Member]], where: str = ""
) -> None:
    """Raise a UserError unless all classes are trained on."""
    missing = sorted(classes.keys() - {name for name, _ in splits["train"]})
    if missing:
        raise UserError(
            f"Expected a training video of each class{where}. Received: none "
            f"of {file_names.printable(missing[0])}, whose videos are too few, "
            "or of one group. Leave the class out, or change data.groups or "
            "data.folds"
        )


def _in_shares(
    groups: Mapping[Any, list[Member]], shares: Mapping[str, float], seed: str
) -> dict[str, list[Member]]:
    """Divide groups into splits of about these shares of each class."""
    number_of = assigned(groups, [*shares.values()], seed)
    return {
        split: [m for key in groups if number_of[key] == n for m in groups[key]]
        for n, split in enumerate(shares)
    }


def assigned(
    groups: Mapping[Any, Collection[Member]],
    shares: Sequence[float],
    seed: str = "",
) -> dict[Any, int]:
    """Assign groups to parts with about equal shares of each class.

    The largest groups come first. Each goes where the sum of squares of the
    classes' counts, divided by their expected counts, grows least; a part
    without a class is preferred while there are just as many groups of it left.

    Args:
        groups: the videos of each group.
        shares: of the parts in all videos.
        seed: prefix of the names whose hashes order groups of one size.

    Returns:
        The part of each group, an index of `shares`.
    """
    counts = {key: _class_counts(groups[key]) for key in groups}
    totals = sum(counts.values(), collections.Counter())
    remaining = collections.Counter(
        name for names in counts.values() for name in names
    )
    parts: list[collections.Counter] = [collections.Counter() for _ in shares]
    number_of = {}
    for key in sorted(groups, key=lambda k: (-len(groups[k]), _hash(k, seed))):
        count = counts[key]
        rare = min(count, key=lambda name: (remaining[name], name))
        lacking = [n for n, part in enumerate(parts) if not part[rare]]
        if remaining[rare] > len(lacking):
            lacking = [*range(len(parts))]
        number = min(
            lacking,
            key=lambda n: (
                _growth(parts[n], count, totals) / shares[n],
                parts[n].total() / shares[n],
                n,
            ),
        )
        number_of[key] = number
        parts[number] += count
        remaining.subtract(count.keys())
    return number_of


def _growth(
    part: Mapping[str, int], count: Mapping[str, int], totals: Mapping[str, int]
) -> float:
    """Return by how much a group raises the sum of squares of a part."""
    return sum(
        ((part[name] + added) ** 2 - part[name] ** 2) / totals[name]
        for name, added in count.items()
    )


def _class_counts(members: Iterable[Member]) -> collections.Counter:
    return collections.Counter(name for name, _ in members)


def _by_class(classes: Classes, members: Iterable[Member]) -> Classes:
    """Return the paths of some videos by class, in order of their names."""
    chosen: dict[str, dict[str, str]] = {name: {} for name in classes}
    for name, file in sorted(members):
        chosen[name][file] = classes[name][file]
    return chosen


def _divide(classes: Classes, seed: str) -> dict[str, Classes]:
    """Split each class so that adding a file hardly changes the splits.

    Files are ordered by hashes of their paths in the class folder; a new file
    moves at most one other across each border.
    """
    splits: dict[str, dict] = {split: {} for split in data_config.SPLITS}
    for name, videos in classes.items():
        order = sorted(videos, key=lambda file: _hash(file, seed))
        count = len(order)
        held = max(1, (3 * count + 10) // 20)  # 15 %, rounded
        # At both ends, so that files only move from or to the training split.
        test, train, validation = (
            order[:held],
            order[held:-held],
            order[-held:],
        )
        if count == 2:
            test, train, validation = order[:1], order[1:], order[:1]
        if count == 1:
            test, train, validation = [], order, []
        for split, files in zip(
            data_config.SPLITS, (train, validation, test), strict=True
        ):
            splits[split][name] = {f: videos[f] for f in sorted(files)}
    return splits


def _hash(key: Any, seed: str) -> str:
    name = key if isinstance(key, str) else "/".join(key)
    # os.fsencode restores the bytes of names that are not UTF-8.
    return hashlib.sha256(os.fsencode(seed + name)).hexdigest()
