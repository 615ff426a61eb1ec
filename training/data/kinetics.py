"""Kinetics from its own csv or JSON files.

    label,youtube_id,time_start,time_end,split,is_cc
    air drumming,0wR5jVB-WPk,7,17,train,0

    {"0wR5jVB-WPk": {"annotations": {"label": "air drumming",
                                     "segment": [7.0, 17.0]},
                     "duration": 10.0, "subset": "train", "url": "..."}}

    --set dataset=kinetics --set data.root=videos \\
        --set data.train=train.csv --set data.validation=val.csv

Labels follow the sorted class names of the training file; without a training
file, name all classes with `--set data.classes=FILE`. A video is
`{youtube_id}_{time_start:06}_{time_end:06}.mp4` in the folder of its class,
whose spaces may be `_`, in `data.root` or in its train/, val/, validation/,
validate/ or test/. A test file has no labels; its videos are in test/, if that
folder exists.

Formats as ActivityNet's crawler writes the files and as MMAction2's
parse_file_list.py reads the csv; the JSON and the test file from memory.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

from ..io.paths import as_path
from ..io.user_error import UserError
from . import data_config, folder_paths, text_files, video_lists
from .class_names import label_named, read_classes
from .data_config import SPLITS, DataConfig
from .datasets import register_dataset
from .folder_paths import join_path
from .manifest import Manifest, Video
from .video_dataset import VideoDataset

SPLIT_FOLDERS = {
    "train": ("train",),
    "validation": ("val", "validation", "validate"),
    "test": ("test",),
}


@dataclasses.dataclass(frozen=True)
class _Clip:
    label: str
    name: str
    where: str


@register_dataset("kinetics")
class Kinetics(VideoDataset):
    description = "Kinetics with its own csv or JSON files"

    @staticmethod
    def read_lists(data: DataConfig) -> Manifest:
        data_config.check_fields(data, "root", *SPLITS, "classes")
        clips = data_config.read_splits(data, _read)
        classes = _classes(data, clips)
        labels = {name: label for label, name in enumerate(classes)}
        source = str(data.classes or data.train)
        splits = {}
        for split in clips:
            folders = _folders(data.root, split)
            splits[split] = [
                Video(
                    join_path(
                        _folder(data.root, clip.label, folders), clip.name
                    ),
                    (label_named(clip.label, labels, clip.where, source),)
                    if clip.label
                    else (),
                )
                for clip in clips[split]
            ]
        return Manifest(classes, splits)


def _classes(
    data: DataConfig, clips: dict[str, list[_Clip]]
) -> tuple[str, ...]:
    if data.classes:
        return read_classes(data.classes)
    if "train" not in clips:
        raise UserError(
            "Expected data.train or data.classes: labels are numbered in the "
            "order of all names."
        )
    # In the order of MMAction2, with "_" for spaces.
    return tuple(sorted({c.label for c in clips["train"]}, key=_no_spaces))


def _no_spaces(label: str) -> str:
    return label.replace(" ", "_")


def _read(path: str, split: str) -> Iterator[_Clip]:
    """Read the clips of a file; labels are checked later."""
    read = _read_json if path.endswith(".json") else _read_csv
    for label, youtube_id, start, stop, where in read(path, split):
        if not label and split != "test":
            raise UserError(f"{where}: expected a label. Received: none")
        first = int(video_lists.parse_seconds(start, where))
        last = int(video_lists.parse_seconds(stop, where))
        yield _Clip(
            str(label).strip('"'),
            f"{youtube_id}_{first:06}_{last:06}.mp4",
            where,
        )


def _read_csv(path: str, split: str) -> Iterator[tuple]:
    columns = ["label", "youtube_id", "time_start", "time_end"]
    optional = ["split", "is_cc"]
    if split == "test":
        optional.append(columns.pop(0))
    for row, where in text_files.read_table(path, columns, optional):
        yield (
            row.get("label", ""),
            row["youtube_id"],
            row["time_start"],
            row["time_end"],
            where,
        )


def _read_json(path: str, split: str) -> Iterator[tuple]:
    entries = text_files.read_json(path)
    if not isinstance(entries, dict):
        raise UserError(f'{path}: expected {{"id": {{...}}, ...}}.')
    for youtube_id, entry in entries.items():
        where = f"{path}: {youtube_id}"
        try:
            annotations: Any = entry["annotations"]
            start, stop = annotations["segment"]
            label = annotations.get("label", "")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f'{where}: expected {{"annotations": {{"label": ..., '
                f'"segment": [start, end]}}}}. Received: {entry!r}'
            ) from error
        yield label, youtube_id, start, stop, where


def _folders(root: str, split: str) -> dict[str, str]:
    """Return the existing class folders by name without spaces."""
    paths: dict[str, str] = {}
    parents = [root, *(join_path(root, name) for name in SPLIT_FOLDERS[split])]
    for parent in parents:
        if parent and as_path(parent).is_dir():
            for name in folder_paths.list_folders(parent):
                paths.setdefault(_no_spaces(name), join_path(parent, name))
    return paths


def _folder(root: str, label: str, folders: dict[str, str]) -> str:
    if not label:
        return folders.get("test", root)
    return folders.get(_no_spaces(label), join_path(root, label))
