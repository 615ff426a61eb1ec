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

Files that are not videos, and hidden ones, are passed over.
"""

import hashlib

import tensorflow as tf

from training import remote
from training.data import listing, settings
from training.data.datasets import register_dataset
from training.data.listing import Listing, Video, inside
from training.data.videos import VideoDataset
from training.errors import UserError
from training.recipe import DataConfig

EXTENSIONS = tuple(
    ".mp4 .m4v .avi .mkv .webm .mov .mpg .mpeg .wmv .flv .ts .3gp .ogv".split()
)
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
        folders = _split_folders(data.root)
        if folders:
            found = {s: _read_classes(f) for s, f in folders.items()}
            classes = _classes(data.root, found["train"])
            _check_known(classes, found, folders)
        else:
            whole = _read_classes(data.root)
            classes = _classes(data.root, whole)
            found = _divide(whole)
        return Listing(
            classes,
            {
                split: [
                    Video(path, (label,))
                    for label, name in enumerate(classes)
                    for path in of_class.get(name, {}).values()
                ]
                for split, of_class in found.items()
                if any(of_class.values())
            },
        )


def _split_folders(root: str) -> dict[str, str]:
    """Folders of the splits, or none where the folders are classes.

    A class may be called "train". So what is in a folder decides: videos
    make it a class, folders alone a split.
    """
    names = {n: n.lower() for n in listing.folders_in(root)}
    train = [n for n in names if names[n] == "train"]
    if not train or not _has_folders_alone(inside(root, train[0])):
        return {}
    folders: dict[str, str] = {}
    for name in names:
        split = SPLIT_OF.get(names[name])
        if split in folders:
            raise UserError(
                f"Expected one folder for {split}. Received: {folders[split]} "
                f"and {inside(root, name)}"
            )
        if split:
            folders[split] = inside(root, name)
    if len(folders) == 1:
        raise UserError(
            f"Expected validation/, val/ or test/ beside {folders['train']}, "
            f"which has folders and no videos. Received: {', '.join(names)}"
        )
    return folders


def _has_folders_alone(path: str) -> bool:
    videos = any(_is_video(name) for name in listing.list_folder(path))
    return not videos and bool(listing.folders_in(path))


def _read_classes(root: str) -> dict[str, dict[str, str]]:
    """Of each class, paths of its videos by their paths in its folder."""
    return {
        name: _read_class(inside(root, name))
        for name in listing.folders_in(root)
    }


def _read_class(folder: str) -> dict[str, str]:
    files = listing.files_in(folder)
    videos = {f: inside(folder, f) for f in files if _is_video(f)}
    if not videos:
        frames = any(f.lower().endswith(IMAGES) for f in files)
        hint = " Folders of frames need a list: dataset=mmaction2_frames."
        raise UserError(
            f"Expected videos ({' '.join(EXTENSIONS)}) in {folder}, which "
            f"stands for a class. Received: none.{hint if frames else ''}"
        )
    return videos


def _is_video(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS)


def _classes(root: str, found: dict[str, dict[str, str]]) -> tuple[str, ...]:
    if len(found) < 2:
        raise UserError(
            f"{LAYOUT} Received: {root} with {len(found)} "
            f"{'class' if len(found) == 1 else 'classes'}"
        )
    return tuple(sorted(found))


def _check_known(
    classes: tuple[str, ...],
    found: dict[str, dict[str, dict[str, str]]],
    folders: dict[str, str],
) -> None:
    for split, of_class in found.items():
        for name in of_class:
            if name not in classes:
                raise UserError(
                    f"Expected a class of {folders['train']}. "
                    f"Received: {inside(folders[split], name)}"
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
    return hashlib.sha256(path.encode()).hexdigest()
