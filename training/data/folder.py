"""Videos of your own, in one folder a class.

    clips/jump/a.mp4
    clips/jump/monday/b.avi
    clips/walk/c.webm

    --set dataset=folder --set data.root=clips

A class may have folders below its own; the classes are the sorted names of
the outer ones. About 70 % of each class are trained on, 15 % validate and 15 %
test. Who has splits already says so with folders:

    clips/train/jump/a.mp4
    clips/validation/jump/b.mp4      or val/
    clips/test/jump/c.mp4            either of these two may be missing

Files of any kind that FFmpeg reads are videos. Other files are passed over and
counted, hidden ones and what operating systems leave (__MACOSX, Thumbs.db,
...) without a word. A link to a folder above it, and a second name of a file,
are left out: each film counts once.
"""

import collections
import hashlib
import os
import posixpath

import tensorflow as tf

from ..io import remote, tables
from ..io.user_error import UserError
from ..recipes.schema import DataConfig
from . import file_names, file_tree, listing, settings, video_names
from .datasets import register_dataset
from .listing import Listing, Video, inside
from .videos import VideoDataset

IMAGES = (".jpg", ".jpeg", ".png")
LAYOUT = (
    "Expected data.root to be a folder with one folder of videos a class, or "
    "with train/ and validation/ or test/ that have them."
)
SPLIT_OF = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "test": "test",
}


@register_dataset("folder")
class Folder(VideoDataset):
    description = "your videos, in one folder a class"

    @staticmethod
    def read_lists(data: DataConfig) -> Listing:
        settings.check_settings(data, "root")
        # To an object store, the root of a bucket is no folder.
        there = remote.is_url(data.root) or tf.io.gfile.isdir(data.root)
        if data.root and not there:
            raise UserError(f"There is no folder {data.root!r}. {LAYOUT}")
        if not data.root:
            raise UserError(f"{LAYOUT} Received: data.root={data.root!r}")
        tree = file_tree.read(data.root)
        videos, others = video_names.sort_out(tree.root, tree.files)
        content = _Content(tree, videos)
        folders = _split_folders(content)
        if folders:
            found = {s: content.classes(f) for s, f in folders.items()}
            classes = _classes(content, found["train"])
            _check_known(data.root, classes, found, folders)
        else:
            whole = content.classes("")
            classes = _classes(content, whole)
            found = _divide(whole)
        return Listing(
            tuple(map(file_names.printable, classes)),
            {
                split: [
                    Video(path, (label,))
                    for label, name in enumerate(classes)
                    for path in of_class.get(name, {}).values()
                ]
                for split, of_class in found.items()
                if any(of_class.values())
            },
            notes=(
                *video_names.passed_over(others),
                *tree.notes(),
                *_unread(content, folders),
            ),
        )


class _Content:
    """The folders and videos of a data set, by their paths in it."""

    def __init__(self, tree: file_tree.Tree, videos: list[str]):
        self.root = tree.root
        self._tree = tree
        self._videos = videos

    def folders(self, folder: str) -> list[str]:
        """Paths of the folders in a folder; "" is the outermost."""
        return [f for f in self._tree.folders if posixpath.dirname(f) == folder]

    def videos(self, folder: str) -> list[str]:
        """Paths of the videos in a folder, but not in those below it."""
        return [v for v in self._videos if posixpath.dirname(v) == folder]

    def classes(self, folder: str) -> dict[str, dict[str, str]]:
        """Of each class, paths of its videos by their paths in its folder."""
        found: dict[str, dict[str, str]] = {
            posixpath.basename(path): {} for path in self.folders(folder)
        }
        start = f"{folder}/" if folder else ""
        for video in self._videos:
            if video.startswith(start):
                name, _, file = video.removeprefix(start).partition("/")
                if file:
                    found[name][file] = inside(self.root, video)
        empty = [name for name, videos in found.items() if not videos]
        if empty:
            others = file_tree.listed(empty[1:])
            also = f" Nor are there any in: {others}." * bool(others)
            raise UserError(self._no_videos(start + empty[0]) + also)
        return found

    def left_out(self) -> str:
        """Say what is not looked into, as the end of a message."""
        return "".join(f"; {note}" for note in self._tree.notes())

    def _no_videos(self, folder: str) -> str:
        """What is wrong with the folder of a class that has no videos."""
        start = f"{folder}/"
        files = [f for f in self._tree.files if f.startswith(start)]
        again = [p for p in self._tree.again if p.startswith(start)]
        received = "none"
        if files:
            counts = collections.Counter(map(file_names.ending_of, files))
            received += f", but {file_names.counted(counts)}"
        if again:
            received += (
                ", as each file counts once: "
                f"{again[0]} is {self._tree.again[again[0]]}"
            )
        hint = ""
        if any(f.lower().endswith(IMAGES) for f in files):
            hint = " Folders of frames need a list: dataset=mmaction2_frames."
        path = file_names.printable(inside(self.root, folder))
        return (
            f"Expected videos ({video_names.SOME}) in {path}, which stands "
            f"for a class. Received: {file_names.printable(received)}.{hint}"
        )


def _split_folders(content: _Content) -> dict[str, str]:
    """Folders of the splits, or none where the folders are classes.

    A class may be called "train". So what is in a folder decides: videos
    make it a class, folders alone a split.
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
                f"{inside(content.root, folders[split])} and "
                f"{inside(content.root, name)}"
            )
        if split:
            folders[split] = name
    if len(folders) == 1:
        raise UserError(
            "Expected validation/, val/ or test/ beside "
            f"{inside(content.root, train[0])}, which has folders and no "
            f"videos. Received: {file_names.printable(', '.join(names))}"
            f"{content.left_out()}"
        )
    return folders


def _unread(content: _Content, folders: dict[str, str]) -> list[str]:
    """Say which videos are in no class, as lines."""
    outside = [v for f in ("", *folders.values()) for v in content.videos(f)]
    lines = []
    if outside:
        lines.append(
            f"{tables.number_of(len(outside), 'video')} in no folder of a "
            f"class: {file_tree.listed(outside)}"
        )
    if folders:
        others = set(content.folders("")) - set(folders.values())
        if others:
            lines.append(
                "folders that are no split are not read: "
                f"{file_tree.listed(sorted(others))}"
            )
    return lines


def _classes(
    content: _Content, found: dict[str, dict[str, str]]
) -> tuple[str, ...]:
    if len(found) < 2:
        raise UserError(
            f"{LAYOUT} Received: {content.root} with {len(found)} "
            f"{'class' if len(found) == 1 else 'classes'}{content.left_out()}"
        )
    return tuple(sorted(found))


def _check_known(
    root: str,
    classes: tuple[str, ...],
    found: dict[str, dict[str, dict[str, str]]],
    folders: dict[str, str],
) -> None:
    for split, of_class in found.items():
        for name in of_class:
            if name not in classes:
                raise UserError(
                    f"Expected a class of {inside(root, folders['train'])}. "
                    f"Received: {inside(root, f'{folders[split]}/{name}')}"
                )


def _divide(
    whole: dict[str, dict[str, str]],
) -> dict[str, dict[str, dict[str, str]]]:
    """Splits of each class that hardly change when a file is added.

    The order within a class is that of hashes of the paths in it; a new file
    moves at most one other across each border.
    """
    found: dict[str, dict] = {split: {} for split in listing.SPLITS}
    for name, videos in whole.items():
        order = sorted(videos, key=_hash)
        count = len(order)
        held = max(1, (3 * count + 10) // 20)  # 15 %, rounded
        # From the two ends, so that both have borders with train alone.
        test, train, validation = (
            order[:held],
            order[held:-held],
            order[-held:],
        )
        if count == 2:
            test, train, validation = order[:1], order[1:], order[:1]
        if count == 1:
            test, train, validation = [], order, []
        for split, files in zip(
            listing.SPLITS, (train, validation, test), strict=True
        ):
            found[split][name] = {f: videos[f] for f in sorted(files)}
    return found


def _hash(path: str) -> str:
    # os.fsencode gives names that are no text back as they are on the disk.
    return hashlib.sha256(os.fsencode(path)).hexdigest()
