"""Your own videos, in one folder per class.

    clips/jump/a.mp4
    clips/jump/monday/b.avi
    clips/walk/c.webm

    --set dataset=folder --set data.root=clips

Labels follow the sorted names of these folders, which may have subfolders.
About 70 % of each class are for training, 15 % for validation and 15 % for
testing; data.split=2 and so on draw other splits. Where several videos have one
source, such as a person, data.groups is a csv file that keeps them together:

    video,group
    jump/a.mp4,anna
    walk/c.webm,anna
    jump/monday/b.avi,ben

data.folds=5 tests on one of five parts, data.fold=0 to 4, and validates on 15 %
of the others: `nonlocal-tf train --folds 5` trains and tests on all of them.

To choose the splits, use folders:

    clips/train/jump/a.mp4
    clips/validation/jump/b.mp4      or val/
    clips/test/jump/c.mp4            one of these two may be missing

All formats that FFmpeg reads count as videos. Other files are skipped and
counted; hidden files and those of operating systems (__MACOSX, Thumbs.db, ...)
are skipped silently. Links to a parent folder and further links to the same
file are skipped, so that each video counts once.
"""

import collections
import os
import posixpath

from ..io import file_names, tables
from ..io.paths import is_url
from ..io.user_error import UserError
from . import data_config, file_tree, stratified_splits, video_file_types
from .data_config import DataConfig
from .datasets import register_dataset
from .folder_paths import join_path
from .manifest import Manifest, Video
from .video_dataset import VideoDataset

DIVISION = ("split", "groups", "folds", "fold")  # fields of `DataConfig`
IMAGES = (".jpg", ".jpeg", ".png")
LAYOUT = (
    "Expected data.root to be a folder with one folder of videos per class, or "
    "with such folders in train/ and validation/ or test/."
)
SPLIT_OF = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "test": "test",
}


@register_dataset("folder")
class Folder(VideoDataset):
    description = "your videos, in one folder per class"

    @property
    def root(self) -> str:
        """Folder of the class folders, or of the splits."""
        return self._data.root

    @staticmethod
    def read_lists(data: DataConfig) -> Manifest:
        data_config.check_fields(data, "root", *DIVISION)
        # In an object store, the root of a bucket is not a folder.
        exists = is_url(data.root) or os.path.isdir(data.root)
        if data.root and not exists:
            raise UserError(f"There is no folder {data.root!r}. {LAYOUT}")
        if not data.root:
            raise UserError(f"{LAYOUT} Received: data.root={data.root!r}")
        tree = file_tree.read(data.root)
        videos, skipped = video_file_types.sort_out(tree.root, tree.files)
        content = _Content(tree, videos)
        folders = _split_folders(content)
        notes: list[str] = []
        if folders:
            splits = {s: content.classes(f) for s, f in folders.items()}
            classes = _classes(content, splits["train"])
            _check_classes(data.root, classes, splits, folders)
            _check_not_divided(data, folders)
        else:
            paths = content.classes("")
            classes = _classes(content, paths)
            splits, notes = stratified_splits.divide(paths, data)
        return Manifest(
            tuple(map(file_names.printable, classes)),
            {
                split: [
                    Video(path, (label,))
                    for label, name in enumerate(classes)
                    for path in paths.get(name, {}).values()
                ]
                for split, paths in splits.items()
                if any(paths.values())
            },
            notes=(
                *video_file_types.skipped_note(skipped),
                *tree.notes(),
                *_unread(content, folders),
                *notes,
            ),
        )


class _Content:
    """Folders and videos of a data set, by relative path."""

    def __init__(self, tree: file_tree.Tree, videos: list[str]):
        self.root = tree.root
        self._tree = tree
        self._videos = videos

    def folders(self, folder: str) -> list[str]:
        """List the folders in a folder; "" is the root."""
        return [f for f in self._tree.folders if posixpath.dirname(f) == folder]

    def videos(self, folder: str) -> list[str]:
        """List the videos in a folder, without those in subfolders."""
        return [v for v in self._videos if posixpath.dirname(v) == folder]

    def classes(self, folder: str) -> dict[str, dict[str, str]]:
        """Return video paths by class and by path in the class folder."""
        classes: dict[str, dict[str, str]] = {
            posixpath.basename(path): {} for path in self.folders(folder)
        }
        start = f"{folder}/" if folder else ""
        for video in self._videos:
            if video.startswith(start):
                name, _, file = video.removeprefix(start).partition("/")
                if file:
                    classes[name][file] = join_path(self.root, video)
        empty = [name for name, videos in classes.items() if not videos]
        if empty:
            also = file_tree.abbreviated(empty[1:])
            also = f" Also without videos: {also}." * bool(also)
            raise UserError(self._no_videos(start + empty[0]) + also)
        return classes

    def skipped(self) -> str:
        """Describe skipped files, as the end of an error message."""
        return "".join(f"; {note}" for note in self._tree.notes())

    def _no_videos(self, folder: str) -> str:
        """Describe the content of a class folder without videos."""
        start = f"{folder}/"
        files = [f for f in self._tree.files if f.startswith(start)]
        duplicates = [p for p in self._tree.duplicates if p.startswith(start)]
        received = "none"
        if files:
            counts = collections.Counter(map(file_names.extension, files))
            received += f", but {file_names.counted(counts)}"
        if duplicates:
            path = duplicates[0]
            received += (
                ", as each file counts once: "
                f"{path} is {self._tree.duplicates[path]}"
            )
        hint = ""
        if any(f.lower().endswith(IMAGES) for f in files):
            hint = " Folders of frames need a list: dataset=mmaction2_frames."
        path = file_names.printable(join_path(self.root, folder))
        return (
            f"Expected videos ({video_file_types.EXAMPLES}) in the class "
            f"folder {path}. Received: {file_names.printable(received)}.{hint}"
        )


def _split_folders(content: _Content) -> dict[str, str]:
    """Return the folders of the splits; {} if folders are classes.

    A class may be called "train", so the content of this folder decides: a
    folder with videos is a class, one with subfolders only is a split.
    """
    names = content.folders("")
    train = [name for name in names if name.lower() == "train"]
    if not train or content.videos(train[0]) or not content.folders(train[0]):
        return {}
    folders: dict[str, str] = {}
    for name in names:
        split = SPLIT_OF.get(name.lower())
        if split in folders:
            raise UserError(
                f"Expected one folder for {split}. Received: "
                f"{join_path(content.root, folders[split])} and "
                f"{join_path(content.root, name)}"
            )
        if split:
            folders[split] = name
    if len(folders) == 1:
        raise UserError(
            "Expected validation/, val/ or test/ beside "
            f"{join_path(content.root, train[0])}, which has folders and no "
            f"videos. Received: {file_names.printable(', '.join(names))}"
            f"{content.skipped()}"
        )
    return folders


def _unread(content: _Content, folders: dict[str, str]) -> list[str]:
    """Describe videos outside of class folders, as lines for the screen."""
    outside = [v for f in ("", *folders.values()) for v in content.videos(f)]
    lines = []
    if outside:
        lines.append(
            f"{tables.number_of(len(outside), 'video')} outside of class "
            f"folders: {file_tree.abbreviated(outside)}"
        )
    if folders:
        unused = set(content.folders("")) - set(folders.values())
        if unused:
            lines.append(
                "skipped folders besides the splits: "
                f"{file_tree.abbreviated(sorted(unused))}"
            )
    return lines


def _classes(
    content: _Content, paths: dict[str, dict[str, str]]
) -> tuple[str, ...]:
    if len(paths) < 2:
        raise UserError(
            f"{LAYOUT} At least two classes. "
            f"Received: {content.root} with {len(paths)} "
            f"{'class' if len(paths) == 1 else 'classes'}{content.skipped()}"
        )
    return tuple(sorted(paths))


def _check_not_divided(data: DataConfig, folders: dict[str, str]) -> None:
    """Raise a UserError if splits are given by folders and by settings."""
    for name in DIVISION:
        if getattr(data, name) != getattr(DataConfig(), name):
            raise UserError(
                f"data.{name} divides videos of class folders. Here splits "
                f"are folders: {', '.join(folders.values())}. Received: "
                f"data.{name}={getattr(data, name)!r}"
            )


def _check_classes(
    root: str,
    classes: tuple[str, ...],
    splits: dict[str, dict[str, dict[str, str]]],
    folders: dict[str, str],
) -> None:
    for split, paths in splits.items():
        for name in paths:
            if name not in classes:
                raise UserError(
                    f"Expected a class of {join_path(root, folders['train'])}. "
                    f"Received: {join_path(root, f'{folders[split]}/{name}')}"
                )
