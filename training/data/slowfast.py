"""Lists with a path and a label per line, as PySlowFast's for Kinetics.

`train.csv`, `val.csv` and `test.csv` have no header; labels count from 0, after
`DATA.PATH_LABEL_SEPARATOR`. `data.root` is `DATA.PATH_PREFIX`.

    abseiling/0wR5jVB-WPk.mp4 0

The label follows the last separator, so paths may have spaces; in lists of
comma-separated values they may be in quotes. Set a separator other than a space
with `--set data.separator=,`, or `"\\t"` for a tab.

    --set dataset=slowfast --set data.root=videos \\
        --set data.train=train.csv --set data.validation=val.csv

Class names are optional: one per line of a text file, or {"name": label} in a
JSON file, with `--set data.classes=FILE`. Without them, the classes are the
labels of the training list. Formats as in PySlowFast's datasets/DATASET.md and
kinetics.py.
"""

from collections.abc import Iterator

from ..io.user_error import UserError
from . import class_names, data_config, video_lists
from .data_config import SPLITS, DataConfig
from .datasets import register_dataset
from .manifest import Manifest, Video
from .video_dataset import VideoDataset


@register_dataset("slowfast")
class SlowFast(VideoDataset):
    description = "lists of paths and labels, as PySlowFast's for Kinetics"

    @staticmethod
    def read_lists(data: DataConfig) -> Manifest:
        data_config.check_fields(data, "root", *SPLITS, "classes", "separator")
        separator = video_lists.separator_of(data)
        names = class_names.read_classes(data.classes) if data.classes else None
        count = len(names) if names else None

        def read(path: str, split: str) -> Iterator[tuple[Video, str]]:
            for line, where in video_lists.rows(path, separator):
                name, label = video_lists.last_cell(line, separator)
                is_read = name and label.isdecimal()
                hint = "" if is_read else video_lists.hint(line, separator)
                if not name:
                    raise UserError(
                        f"{where}: expected a path, {separator!r} and a label. "
                        f"Received: {line!r}{hint and '.' + hint}"
                    )
                video_lists.check_path(name, line, separator, where)
                label_index = video_lists.parse_label(label, count, where, hint)
                file = video_lists.path_of(data.root, name, where)
                yield Video(file, (label_index,)), where

        splits = data_config.read_splits(data, read)
        return Manifest(
            names or class_names.numbered(splits),
            {s: [video for video, _ in splits[s]] for s in splits},
        )
