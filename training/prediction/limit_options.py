"""Command-line limits on video files: `--max-pixels N` and the like."""

import argparse
import dataclasses

from ..data.video_limits import Limits
from ..io import cli


def add_arguments(parser: argparse._ActionsContainer) -> None:
    """Add the options that `limits_of` reads."""
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
        help="refuse videos whose decoding takes longer (default: the run's, "
        f"{Limits.max_seconds:g}, plus a second per MB)",
    )


def limits_of(options: argparse.Namespace, limits: Limits) -> Limits:
    """Override limits by those given on the command line.

    Raises:
        UserError: a limit is not positive.
    """
    typed = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(limits)
        if getattr(options, field.name) is not None
    }
    return dataclasses.replace(limits, **typed)
