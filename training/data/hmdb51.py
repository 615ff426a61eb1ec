"""HMDB51 with its own splits.

    brush_hair_test_split1.txt      one file a class and split
        April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1
        Blonde_being_brushed_brush_hair_f_nm_np2_ri_med_0.avi 2

1 marks training videos, 2 test videos, 0 unused ones. Videos are in one folder
per class; labels follow the sorted class names.

    --set dataset=hmdb51 --set data.root=hmdb51_org \\
        --set data.classes=testTrainMulti_7030_splits --set data.split=1

`data.classes` is the folder of the lists. `data.split` is 1, 2 or 3; none of
them has validation videos. Formats as in the data set's archives and in
MMAction2's parse_file_list.py.
"""

import re

from ..io import file_names
from ..io.user_error import UserError
from . import data_config, folder_paths, text_files
from .data_config import DataConfig
from .datasets import register_dataset
from .folder_paths import join_path
from .manifest import Manifest, Video
from .video_dataset import VideoDataset

SPLIT_OF = {"1": "train", "2": "test", "0": None}


@register_dataset("hmdb51")
class HMDB51(VideoDataset):
    description = "HMDB51 with its own splits"

    @staticmethod
    def read_lists(data: DataConfig) -> Manifest:
        data_config.check_fields(data, "root", "classes", "split")
        data_config.check_split_number(data, 3)
        folder = data_config.need(data, "classes", "the folder of the lists")
        classes = _classes(folder)
        splits: dict[str, list[Video]] = {"train": [], "test": []}
        for label, name in enumerate(classes):
            path = join_path(folder, f"{name}_test_split{data.split}.txt")
            for line, where in text_files.read_lines(path):
                *video, use = line.rsplit(None, 1)
                if use not in SPLIT_OF or not video:
                    raise UserError(
                        f"{where}: expected 'VIDEO 0', 1 or 2. "
                        f"Received: {line!r}"
                    )
                split = SPLIT_OF[use]
                if split:
                    file = join_path(data.root, f"{name}/{video[0]}")
                    splits[split].append(Video(file, (label,)))
        return Manifest(classes, splits)


def _classes(folder: str) -> tuple[str, ...]:
    """Return the sorted class names, from the names of the list files."""
    files = [
        re.fullmatch(r"(.+)_test_split[123]\.txt", name)
        for name in filter(file_names.is_text, folder_paths.list_folder(folder))
    ]
    classes = tuple(sorted({file[1] for file in files if file}))
    if not classes:
        raise UserError(
            f"Expected lists CLASS_test_split1.txt in {folder}. Received: none"
        )
    return classes
