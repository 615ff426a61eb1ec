"""Bounds of video files as they are typed: `--max-pixels N` and the like."""

import argparse
import dataclasses

from ..data.video_limits import Limits
from ..io import cli


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `limits_of` reads."""
    parser.add_argument(
        "--max-pixels",
        type=int,
        metavar="N",
        help="refuse videos with larger frames (default: the run's, "
        f"{Limits.max_pixels})",
    )
    parser.add_argument(
        "--max-frames",
        type=int,
        metavar="N",
        help=f"refuse longer videos (default: the run's, {Limits.max_frames})",
    )
    parser.add_argument(
        "--max-seconds",
        type=cli.positive,
        metavar="S",
        help="refuse videos that take longer to be decoded once (default: the "
        f"run's, {Limits.max_seconds:g}; and a second more for each MB)",
    )


def limits_of(options: argparse.Namespace, limits: Limits) -> Limits:
    """The bounds that were typed, and those of a run for the others.

    Raises:
        UserError: one is not above 0.
    """
    typed = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(limits)
        if getattr(options, field.name) is not None
    }
    return dataclasses.replace(limits, **typed)
