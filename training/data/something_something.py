"""Something-Something, versions 1 and 2, with its own lists.

Version 2: videos `{id}.webm` in `data.root`. Lists are JSON; the class is the
template without brackets.

    [{"id": "78687", "label": "holding potato next to vicks vaporub bottle",
      "template": "Holding [something] next to [something]",
      "placeholders": ["potato", "vicks vaporub bottle"]}]

    --set dataset=ssv2 --set data.root=20bn-something-something-v2 \\
        --set data.classes=something-something-v2-labels.json \\
        --set data.train=something-something-v2-train.json \\
        --set data.validation=something-something-v2-validation.json

Version 1: frames `{id}/00001.jpg` in `data.root`. Lists are `id;class`; the
label file has one class per line.

    --set dataset=ssv1 --set data.root=20bn-something-something-v1 \\
        --set data.classes=something-something-v1-labels.csv \\
        --set data.train=something-something-v1-train.csv \\
        --set data.validation=something-something-v1-validation.csv

Test lists have no classes. Formats as published with the data set, and as read
by PySlowFast and MMAction2.
"""

from collections.abc import Iterator

from ..io.user_error import UserError
from .class_names import label_named, read_classes, unique
from .data_config import SPLITS, DataConfig, check_fields, need, read_splits
from .datasets import register_dataset
from .folder_paths import join_path
from .manifest import Manifest, Video
from .text_files import read_json, read_lines
from .video_dataset import VideoDataset


@register_dataset("ssv2")
class SSv2(VideoDataset):
    description = "Something-Something v2"

    @staticmethod
    def read_lists(data: DataConfig) -> Manifest:
        check_fields(data, "root", *SPLITS, "classes")
        source = need(data, "classes", "something-something-v2-labels.json")
        classes = read_classes(source)
        return Manifest(
            classes,
            read_splits(
                data,
                lambda path, split: [
                    Video(join_path(data.root, f"{name}.webm"), labels)
                    for name, labels in read_annotations(
                        path, split, classes, source
                    )
                ],
            ),
        )


@register_dataset("ssv1")
class SSv1(VideoDataset):
    description = "Something-Something v1"
    storage = "frames"

    @staticmethod
    def read_lists(data: DataConfig) -> Manifest:
        check_fields(data, "root", *SPLITS, "classes")
        source = need(data, "classes", "something-something-v1-labels.csv")
        classes = unique(read_lines(source), source)
        label_of_class = {name: label for label, name in enumerate(classes)}

        def read(path: str, split: str) -> Iterator[Video]:
            for line, where in read_lines(path):
                name, _, text = line.partition(";")
                labels: tuple[int, ...] = ()
                if text or split != "test":
                    label = label_named(text, label_of_class, where, source)
                    labels = (label,)
                yield Video(
                    join_path(data.root, name), labels, frame_name="{:05}.jpg"
                )

        return Manifest(classes, read_splits(data, read))


def read_annotations(
    path: str, split: str, classes: tuple[str, ...], source: str
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and labels of the videos in a list of version 2.

    Args:
        path: the list.
        split: its split; only "test" may lack labels.
        classes: class names in the order of the labels.
        source: file of the class names, for errors.

    Raises:
        UserError: it is not in this format.
    """
    label_of_class = {name: label for label, name in enumerate(classes)}
    entries = read_json(path)
    if not isinstance(entries, list):
        raise UserError(f'{path}: expected [{{"id": ...}}, ...].')
    for number, entry in enumerate(entries, start=1):
        where = f"{path}: entry {number}"
        name = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            raise UserError(
                f'{where}: expected {{"id": "...", "template": "..."}}. '
                f"Received: {entry!r}"
            )
        template = entry.get("template")
        labels: tuple[int, ...] = ()
        if template is not None or split != "test":
            if isinstance(template, str):
                template = template.replace("[", "").replace("]", "")
            labels = (label_named(template, label_of_class, where, source),)
        yield name, labels
