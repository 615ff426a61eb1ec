"""Lists of MMAction2.

Videos with one label, several, or none in a test list:

    some/path/000.mp4 1
    some/path/001.mp4 1 4

    --set dataset=mmaction2 --set data.root=videos \\
        --set data.train=train.txt --set data.validation=val.txt

Frames `img_00001.jpg`, `img_00002.jpg`, ... in a folder, with their number; and
with_offset, where the second column is the number of frames before the video:

    some/directory-1 163 1              dataset=mmaction2_frames
    some/directory-1 12 163 3           dataset=mmaction2_frames_offset

    --set dataset=mmaction2_frames --set data.root=rawframes \\
        --set data.train=train.txt --set data.validation=val.txt

Lists with offsets cannot be told from lists with two labels, so they are a data
set of their own. Numbers are read from the right, so a path may have spaces,
and numbers at its end if it exists: `drinking (31).mp4 1`, `walk 2 163 1`.
Class names are optional, one per line of a text file: `--set
data.classes=label_map.txt`. `data.separator` is MMAction2's delimiter, `"\\t"`
for a tab. A data set is multi-label if any video has several labels.

Formats as in MMAction2's video_dataset.py, rawframe_dataset.py and
transforms/loading.py.
"""

from collections.abc import Iterator

from ..io.user_error import UserError
from . import class_names, data_config, video_lists
from .data_config import SPLITS, DataConfig
from .datasets import register_dataset
from .manifest import Manifest, Video
from .video_dataset import VideoDataset

FIRST_FRAME = 1  # MMAction2's start_index


@register_dataset("mmaction2")
class MMAction2(VideoDataset):
    description = "videos with the lists of MMAction2"

    @staticmethod
    def read_lists(data: DataConfig) -> Manifest:
        return _read_lists(data)


@register_dataset("mmaction2_frames")
class MMAction2Frames(VideoDataset):
    description = "folders of frames with the lists of MMAction2"
    storage = "frames"

    @staticmethod
    def read_lists(data: DataConfig) -> Manifest:
        return _read_lists(data, "frames")


@register_dataset("mmaction2_frames_offset")
class MMAction2FramesOffset(VideoDataset):
    description = "parts of folders of frames with the lists of MMAction2"
    storage = "frames"

    @staticmethod
    def read_lists(data: DataConfig) -> Manifest:
        return _read_lists(data, "offset", "frames")


def _read_lists(data: DataConfig, *numbers: str) -> Manifest:
    """Read lists with columns `numbers` between path and labels."""
    data_config.check_fields(data, "root", *SPLITS, "classes", "separator")
    separator = video_lists.separator_of(data)
    names = class_names.read_classes(data.classes) if data.classes else None
    count = len(names) if names else None

    def read(path: str, split: str) -> Iterator[tuple[Video, str]]:
        for line, where in video_lists.rows(path, separator):
            name, counts, labels = _cells(
                line, separator, numbers, where, data.root
            )
            is_read = labels and all(map(str.isdecimal, labels))
            hint = "" if is_read else video_lists.hint(line, separator)
            unread = hint and video_lists.separator_hint(line, separator)
            if not labels and (split != "test" or unread):
                raise UserError(
                    f"{where}: expected labels, which only a test list may "
                    f"lack. Received: {line!r}{hint and '.' + hint}"
                )
            video_lists.check_path(name, line, separator, where)
            video = Video(
                video_lists.path_of(data.root, name, where),
                tuple(
                    video_lists.parse_label(text, count, where, hint)
                    for text in labels
                ),
                frames=counts.get("frames"),
                first_frame=FIRST_FRAME + counts.get("offset", 0),
            )
            yield video, where

    splits = data_config.read_splits(data, read)
    videos = {s: [video for video, _ in splits[s]] for s in splits}
    return Manifest(
        names or class_names.numbered(splits),
        videos,
        multi_label=any(len(v.labels) > 1 for s in videos.values() for v in s),
    )


def _cells(
    line: str,
    separator: str,
    numbers: tuple[str, ...],
    where: str,
    root: str,
) -> tuple[str, dict[str, int], list[str]]:
    """Split a line into path, numbers by name, and labels."""
    name, rest = video_lists.divide(line, separator)
    least = len(numbers) + 1  # a label
    name, rest = video_lists.with_numbers(root, name, rest, separator, least)
    if len(rest) < len(numbers) or not name:
        hint = video_lists.hint(line, separator)
        raise UserError(
            f"{where}: expected 'path {' '.join((*numbers, 'label'))}'. "
            f"Received: {line!r}{hint and '.' + hint}"
        )
    counts = {
        number: video_lists.parse_count(text, f"a number for {number}", where)
        for number, text in zip(numbers, rest, strict=False)
    }
    return name, counts, list(dict.fromkeys(rest[len(numbers) :]))
