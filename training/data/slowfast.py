"""Lists of a path and a label a line, as PySlowFast has for Kinetics.

`train.csv`, `val.csv` and `test.csv` have no header; labels count from 0, with
`DATA.PATH_LABEL_SEPARATOR` before them. `data.root` is `DATA.PATH_PREFIX`.

    abseiling/0wR5jVB-WPk.mp4 0

    --set dataset=slowfast --set data.root=videos \\
        --set data.train=train.csv --set data.validation=val.csv

Names of the classes, where they are wanted, are one a line of a text file, or
{"name": label} in a JSON file: `--set data.classes=FILE`. Without them there
are as many as the training list has. Formats as in PySlowFast's
datasets/DATASET.md and kinetics.py.
"""

from collections.abc import Iterator

from training.data import classes as class_names
from training.data import listing, settings
from training.data.datasets import register_dataset
from training.data.listing import SPLITS, Listing, Video, inside
from training.data.videos import VideoDataset
from training.errors import UserError
from training.recipe import DataConfig


@register_dataset("slowfast")
class SlowFast(VideoDataset):
    description = "lists of a path and a label, as PySlowFast has for Kinetics"

    @staticmethod
    def read_lists(data: DataConfig) -> Listing:
        settings.check_settings(data, "root", *SPLITS, "classes", "separator")
        return read_path_labels(data)


def read_path_labels(data: DataConfig) -> Listing:
    """Reads lists of a path and a label a line.

    Raises:
        UserError: a list is missing or not in this format.
    """
    if not data.separator:
        raise UserError("Expected data.separator to be a text. Received: ''")
    names = class_names.read_classes(data.classes) if data.classes else None
    count = len(names) if names else None

    def read(path: str, split: str) -> Iterator[tuple[Video, str]]:
        for line, where in listing.read_lines(path):
            # From the right: a path may have spaces.
            name, _, label = line.rpartition(data.separator)
            if not name.strip():
                raise UserError(
                    f"{where}: expected a path, {data.separator!r} and a "
                    f"label. Received: {line!r}"
                )
            label_index = listing.label_of(label.strip(), count, where)
            yield Video(inside(data.root, name.strip()), (label_index,)), where

    splits = settings.read_splits(data, read)
    return Listing(
        names or class_names.numbered(splits),
        {s: [video for video, _ in splits[s]] for s in splits},
    )
