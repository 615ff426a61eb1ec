"""UCF101 with its own splits.

    classInd.txt        1 ApplyEyeMakeup
    trainlist01.txt     ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1
    testlist01.txt      ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi

    --set dataset=ucf101 --set data.root=UCF-101 \\
        --set data.classes=ucfTrainTestlist/classInd.txt --set data.split=1

The lists are in the folder of classInd.txt. `data.split` is 1, 2 or 3; none of
them has validation videos. Formats as in the data set's archive.
"""

import posixpath
from collections.abc import Iterator

from ..io.user_error import UserError
from . import data_config, text_files
from .class_names import label_named, unique
from .data_config import DataConfig
from .datasets import register_dataset
from .folder_paths import join_path
from .manifest import Manifest, Video
from .video_dataset import VideoDataset


@register_dataset("ucf101")
class UCF101(VideoDataset):
    description = "UCF101 with its own splits"

    @staticmethod
    def read_lists(data: DataConfig) -> Manifest:
        data_config.check_fields(data, "root", "classes", "split")
        data_config.check_split_number(data, 3)
        source = data_config.need(data, "classes", "classInd.txt")
        classes = unique(_read_classes(source), source)
        labels = {name: label for label, name in enumerate(classes)}
        folder = posixpath.dirname(source)

        def videos(kind: str) -> list[Video]:
            path = posixpath.join(folder, f"{kind}list0{data.split}.txt")
            return [
                Video(join_path(data.root, name), (label,))
                for name, label in _read_list(path, labels, source)
            ]

        return Manifest(
            classes, {"train": videos("train"), "test": videos("test")}
        )


def _read_classes(path: str) -> Iterator[tuple[str, str]]:
    for expected, (line, where) in enumerate(
        text_files.read_lines(path), start=1
    ):
        number, *name = line.split(None, 1)
        if number != str(expected) or not name:
            raise UserError(
                f"{where}: expected '{expected} CLASS'. Received: {line!r}"
            )
        yield name[0], where


def _read_list(
    path: str, labels: dict[str, int], source: str
) -> Iterator[tuple[str, int]]:
    """Yield file names and labels; test lists give classes by folder only."""
    numbers = {str(label + 1): label for label in labels.values()}
    for line, where in text_files.read_lines(path):
        if posixpath.basename(path).startswith("train"):
            *name, number = line.rsplit(None, 1)
            if number not in numbers or not name:
                raise UserError(
                    f"{where}: expected 'CLASS/VIDEO LABEL' with a label from "
                    f"1 to {len(numbers)}. Received: {line!r}"
                )
            yield name[0].replace("\\", "/"), numbers[number]
        else:
            line = line.replace("\\", "/")
            folder = posixpath.basename(posixpath.dirname(line))
            yield line, label_named(folder, labels, where, source)
