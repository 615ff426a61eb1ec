"""Options of commands on video data sets: `--dataset` and `--set data.*`."""

import argparse
from collections.abc import Iterable

from nonlocal_tf.choices import unknown

from ..io.user_error import UserError
from . import DATASETS
from .video_dataset import VideoDataset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--dataset` and `--set`."""
    parser.add_argument(
        "--dataset", metavar="NAME", help="name of the video data set"
    )
    parser.add_argument(
        "--set",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        help="location of the data set, such as data.root=videos; repeatable",
    )


def overview(example: str) -> str:
    """Return the text that a command without arguments prints."""
    names = ", ".join(video_datasets())
    return f"Video data sets: {names}\n\nExample:\n  {example}"


def video_datasets() -> dict[str, type[VideoDataset]]:
    """Return the registered video data sets by name."""
    return {
        name: kind
        for name, kind in sorted(DATASETS.items())
        if issubclass(kind, VideoDataset)
    }


def video_dataset(
    name: str | None, others: Iterable[str] = ()
) -> type[VideoDataset]:
    """Return the video data set with this name.

    Args:
        name: of the data set, or None.
        others: further names that the error message lists.

    Raises:
        UserError: there is none.
    """
    if name is None:
        raise UserError("Give --dataset NAME, such as --dataset folder.")
    registered = video_datasets()
    if name not in registered:
        expected = sorted([*registered, *others])
        raise UserError(unknown("video data set", name, expected))
    return registered[name]
