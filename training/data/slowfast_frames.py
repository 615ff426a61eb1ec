"""Lists of frames, as PySlowFast's for Charades and SSv2.

One line per frame, with its labels:

    original_vido_id video_id frame_id path labels
    46GP8 0 0 46GP8/46GP8-000001.jpg "92,147"
    46GP8 0 1 46GP8/46GP8-000002.jpg ""

    --set dataset=slowfast_frames --set data.root=Charades_v1_rgb \\
        --set data.train=train.csv --set data.validation=val.csv

Mean average precision leaves out videos without a label, as Charades' own
script does; PySlowFast counts them as negatives of every class.

Lists of SSv2 have no labels. These are read from SSv2's own files, which
PySlowFast keeps in the folder of the lists:

    --set dataset=slowfast_ssv2 --set data.root=frames \\
        --set data.train=lists/train.csv --set data.validation=lists/val.csv \\
        --set data.classes=lists/something-something-v2-labels.json

`data.root` is `DATA.PATH_PREFIX`. Formats as in PySlowFast's
datasets/DATASET.md, utils.py, charades.py and ssv2.py. Charades has 24 frames
per second, SSv2 30.
"""

import dataclasses
import posixpath
import re
from collections.abc import Iterable, Iterator

from ..io.user_error import UserError
from . import class_names, data_config, text_files, video_lists
from .data_config import SPLITS, DataConfig
from .datasets import register_dataset
from .folder_paths import join_path
from .manifest import Manifest, Span, Video
from .something_something import read_annotations
from .video_dataset import VideoDataset

HEADER = "original_vido_id video_id frame_id path labels"  # the typo is theirs
CHARADES_FPS = 24.0
SSV2_FPS = 30.0


@register_dataset("slowfast_frames")
class SlowFastFrames(VideoDataset):
    description = "lists of frames with labels, as PySlowFast's for Charades"
    storage = "frames"

    @staticmethod
    def read_lists(data: DataConfig) -> Manifest:
        data_config.check_fields(data, "root", *SPLITS, "classes")
        names = class_names.read_classes(data.classes) if data.classes else None
        count = len(names) if names else None

        def read(path: str, split: str) -> Iterator[tuple[Video, str]]:
            frames = read_frames(path, data.root, CHARADES_FPS, count)
            for _, video, where in frames:
                yield video, where

        splits = data_config.read_splits(data, read)
        return Manifest(
            names or class_names.numbered(splits),
            {s: [video for video, _ in splits[s]] for s in splits},
            multi_label=True,
            skips_unlabelled=True,
        )


@register_dataset("slowfast_ssv2")
class SlowFastSSv2(VideoDataset):
    description = "PySlowFast's lists of frames of Something-Something v2"
    storage = "frames"

    @staticmethod
    def read_lists(data: DataConfig) -> Manifest:
        data_config.check_fields(data, "root", "train", "validation", "classes")
        source = data_config.need(
            data, "classes", "something-something-v2-labels.json"
        )
        names = class_names.read_classes(source)
        return Manifest(
            names,
            data_config.read_splits(
                data, lambda path, split: _ssv2(data, path, split, names)
            ),
        )


def read_frames(
    path: str, root: str, fps: float, classes: int | None
) -> list[tuple[str, Video, str]]:
    """Read a list of frames.

    Args:
        path: the list.
        root: folder that its paths are relative to.
        fps: frames per second, for the times of labels.
        classes: number of classes; None if unknown.

    Returns:
        (name, video, "file:line") of each video.

    Raises:
        UserError: it is not in this format, or the frames of a video are not
            numbered consecutively in one folder.
    """
    videos: dict[str, _Frames] = {}
    lines = text_files.read_lines(path)
    header, where = next(lines, ("", f"{path}:1"))
    if header.split() != HEADER.split():
        raise UserError(f"{where}: expected {HEADER!r}. Received: {header!r}")
    for line, where in lines:
        cells = line.split()
        if len(cells) != 5:
            raise UserError(f"{where}: expected {HEADER!r}. Received: {line!r}")
        video, _, _, frame, text = cells
        if video not in videos:
            videos[video] = _Frames(frame, where)
        labels = [
            video_lists.parse_label(label, classes, where)
            for label in text.replace('"', "").split(",")
            if label
        ]
        videos[video].add(frame, labels, where)
    return [(n, v.video(root, fps), v.where) for n, v in videos.items()]


def _ssv2(
    data: DataConfig, path: str, split: str, names: tuple[str, ...]
) -> Iterator[Video]:
    """Read frames from PySlowFast's list and labels from SSv2's own."""
    source = posixpath.join(
        posixpath.dirname(path), f"something-something-v2-{split}.json"
    )
    labels = dict(read_annotations(source, split, names, str(data.classes)))
    for name, video, where in read_frames(path, data.root, SSV2_FPS, None):
        if name not in labels:
            raise UserError(
                f"{where}: expected a video of {source}. Received: {name!r}"
            )
        yield dataclasses.replace(video, labels=labels[name], spans=())


class _Frames:
    """Collects the frames and labels of one video."""

    def __init__(self, path: str, where: str):
        self.where = where
        folder, name = posixpath.split(path)
        numbered = re.fullmatch(r"(.*?)(\d+)(\.\w+)", name)
        if numbered is None:
            raise UserError(
                f"{where}: expected a frame with a number in its name. "
                f"Received: {path!r}"
            )
        before, number, after = numbered.groups()
        braces = str.maketrans({"{": "{{", "}": "}}"})
        self._folder = folder
        self._name = (
            f"{before.translate(braces)}{{:0{len(number)}}}"
            f"{after.translate(braces)}"
        )
        self._first = int(number)
        self._frames = 0
        self._spans: list[tuple[int, int, int]] = []  # label, first, last
        self._open: dict[int, int] = {}  # first frame by label

    def add(self, path: str, labels: Iterable[int], where: str) -> None:
        expected = posixpath.join(
            self._folder, self._name.format(self._first + self._frames)
        )
        if path != expected:
            raise UserError(
                f"{where}: expected the next frame, {expected}. "
                f"Received: {path}"
            )
        for label in [label for label in self._open if label not in labels]:
            self._close(label)
        for label in labels:
            self._open.setdefault(label, self._frames)
        self._frames += 1

    def video(self, root: str, fps: float) -> Video:
        for label in list(self._open):
            self._close(label)
        spans = sorted(self._spans, key=lambda span: (span[1], span[0]))
        return Video(
            join_path(root, self._folder),
            tuple(sorted({label for label, _, _ in spans})),
            tuple(Span(k, first / fps, last / fps) for k, first, last in spans),
            frames=self._frames,
            frame_name=self._name,
            first_frame=self._first,
            fps=fps,
        )

    def _close(self, label: int) -> None:
        self._spans.append((label, self._open.pop(label), self._frames - 1))
