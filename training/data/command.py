"""What commands on data sets of videos share: which one, and where it is."""

import argparse

from nonlocal_tf.choices import unknown

from ..io.user_error import UserError
from . import DATASETS
from .videos import VideoDataset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds `--dataset` and `--set`."""
    parser.add_argument("--dataset", metavar="NAME", help="data set of videos")
    parser.add_argument(
        "--set",
        metavar="data.FIELD=VALUE",
        action="append",
        default=[],
        help="where the data set is, such as data.root=videos; repeatable",
    )


def overview(example: str) -> str:
    """What a command without arguments prints."""
    names = ", ".join(video_datasets())
    return f"Data sets of videos: {names}\n\nExample:\n  {example}"


def video_datasets() -> dict[str, type[VideoDataset]]:
    """The registered data sets of videos, by their names."""
    return {
        name: kind
        for name, kind in sorted(DATASETS.items())
        if issubclass(kind, VideoDataset)
    }


def video_dataset(name: str | None) -> type[VideoDataset]:
    """The data set of videos of this name.

    Raises:
        UserError: there is none.
    """
    if name is None:
        raise UserError("Give --dataset NAME, such as --dataset folder.")
    found = video_datasets()
    if name not in found:
        raise UserError(unknown("data set of videos", name, found))
    return found[name]
