"""Charades: several actions per video, each with start and end times.

    Charades_v1_classes.txt     c000 Holding some clothes
    Charades_v1_train.csv       id,subject,scene,...,actions,length
                                46GP8,...,c092 11.90 21.20;c147 0.00 12.60,...

An action is a class with a start and an end in seconds; a video may have none.
Videos are `{id}.mp4`; frames are `{id}/{id}-000001.jpg`, 24 per second.

A training clip has the labels of the actions that it overlaps. The 174 training
videos without an action are negatives of every class. Mean average precision
leaves out the 49 validation videos (of 1,863) without an action, as the data
set's own script does, which ranks them last. `training.evaluate` prints their
number.

    --set dataset=charades --set data.root=Charades_v1_480 \\
        --set data.classes=Charades_v1_classes.txt \\
        --set data.train=Charades_v1_train.csv \\
        --set data.validation=Charades_v1_test.csv

    --set dataset=charades_frames --set data.root=Charades_v1_rgb   (the same)

Formats as in the README of the data set, from memory.
"""

from collections.abc import Callable, Iterator

from ..io.user_error import UserError
from . import data_config, text_files, video_lists
from .class_names import unique
from .data_config import SPLITS, DataConfig
from .datasets import register_dataset
from .folder_paths import join_path
from .manifest import Manifest, Span, Video
from .video_dataset import VideoDataset

FPS = 24.0
OTHER_COLUMNS = (
    "subject",
    "scene",
    "quality",
    "relevance",
    "verified",
    "script",
    "objects",
    "descriptions",
    "length",
)


@register_dataset("charades")
class Charades(VideoDataset):
    description = "Charades, from its videos"

    @staticmethod
    def read_lists(data: DataConfig) -> Manifest:
        def video(name, labels, spans):
            return Video(join_path(data.root, f"{name}.mp4"), labels, spans)

        return _read_lists(data, video)


@register_dataset("charades_frames")
class CharadesFrames(VideoDataset):
    description = "Charades, from its frames"
    storage = "frames"

    @staticmethod
    def read_lists(data: DataConfig) -> Manifest:
        def video(name, labels, spans):
            return Video(
                join_path(data.root, name),
                labels,
                spans,
                frame_name=f"{name}-{{:06}}.jpg",
                fps=FPS,
            )

        return _read_lists(data, video)


def _read_lists(
    data: DataConfig,
    video: Callable[[str, tuple[int, ...], tuple[Span, ...]], Video],
) -> Manifest:
    data_config.check_fields(data, "root", *SPLITS, "classes")
    source = data_config.need(data, "classes", "Charades_v1_classes.txt")
    classes = unique(_read_classes(source), source)

    def read(path: str, split: str) -> Iterator[Video]:
        columns = ("id", "actions")
        for row, where in text_files.read_table(path, columns, OTHER_COLUMNS):
            if not row["id"]:
                raise UserError(f"{where}: expected an id. Received: none")
            spans = tuple(_spans(row["actions"], len(classes), where))
            labels = tuple(sorted({span.label for span in spans}))
            yield video(row["id"], labels, spans)

    return Manifest(
        classes,
        data_config.read_splits(data, read),
        multi_label=True,
        skips_unlabelled=True,
    )


def _read_classes(path: str) -> Iterator[tuple[str, str]]:
    for label, (line, where) in enumerate(text_files.read_lines(path)):
        code, *name = line.split(None, 1)
        if code != f"c{label:03}" or not name:
            raise UserError(
                f"{where}: expected 'c{label:03} CLASS'. Received: {line!r}"
            )
        yield name[0], where


def _spans(text: str, classes: int, where: str) -> Iterator[Span]:
    for action in filter(None, text.split(";")):
        parts = action.split()
        if len(parts) != 3 or not parts[0].startswith("c"):
            raise UserError(
                f"{where}: expected 'c000 START END'. Received: {action!r}"
            )
        code, start, stop = parts
        yield Span(
            video_lists.parse_label(code[1:], classes, where),
            video_lists.parse_seconds(start, where),
            video_lists.parse_seconds(stop, where),
        )
