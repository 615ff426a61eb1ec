"""Command-line options of views: `--views 10x3` and the like."""

import argparse
import dataclasses

from nonlocal_tf.choices import unknown

from ..data import frame_sampling
from ..data.sampling_config import SamplingConfig, ViewsConfig
from ..io.user_error import UserError
from .metrics import POOLS

CROPS = (1, 3)


DEFAULT = "the recipe's views, or else the middle clip"


def add_arguments(
    parser: argparse._ActionsContainer, default: str = DEFAULT
) -> None:
    """Add the options that `views_of` reads; `default` is for the help."""
    parser.add_argument(
        "--views",
        type=clips_by_crops,
        metavar="CLIPSxCROPS",
        help="number of clips along each video, and of crops per clip (1 or "
        "3); 10x3 is the protocol of the authors' code, 10x1 with --full-frame "
        f"the paper's (default: {default})",
    )
    parser.add_argument(
        "--full-frame",
        action="store_true",
        help="whole frames instead of crops, as in the paper",
    )
    parser.add_argument(
        "--starts",
        choices=tuple(frame_sampling.STARTS),
        help="start times of clips: tenths of the video, the last clips "
        "wrapping around (authors, default), spread up to its end (slowfast, "
        "mmaction2), or the middle (centre); mmaction2 also averages over "
        "whole crops",
    )
    parser.add_argument(
        "--pool",
        choices=POOLS,
        help="pooling of scores over views: mean (default), or max for "
        "multi-label data",
    )
    parser.add_argument(
        "--short-side",
        type=int,
        metavar="PX",
        help="short side of resized frames (default: as in validation)",
    )
    parser.add_argument(
        "--crop",
        type=int,
        metavar="PX",
        help="side of the crops (default: the short side)",
    )


def clips_by_crops(text: str) -> tuple[int, int]:
    """Parse clips and crops such as "10x3"; a type of argparse."""
    clips, x, crops = text.partition("x")
    if x and clips.isdecimal() and crops.isdecimal():
        if int(clips) >= 1 and int(crops) in CROPS:
            return int(clips), int(crops)
    raise argparse.ArgumentTypeError(
        f"expected clips from 1 and 1 or 3 crops, such as 10x3; received "
        f"{text!r}"
    )


def resolve(
    views: str | ViewsConfig | None, sampling: SamplingConfig
) -> ViewsConfig:
    """Return the views that an argument of a function stands for.

    Args:
        views: clips and crops such as "10x3", at the resolution of validation;
            None for the centre clip.
        sampling: of training clips.

    Raises:
        UserError: the text is not of this form.
    """
    if views is None:
        return frame_sampling.middle(sampling)
    if isinstance(views, ViewsConfig):
        return views
    if not isinstance(views, str):
        raise UserError(
            "Expected views as text such as '10x3', or a ViewsConfig. "
            f"Received: {views!r}"
        )
    try:
        clips, crops = clips_by_crops(views)
    except argparse.ArgumentTypeError as error:
        raise UserError(f"views={views!r}: {error}") from error
    return dataclasses.replace(_defaults(sampling), clips=clips, crops=crops)


def views_of(
    options: argparse.Namespace,
    views: ViewsConfig | None,
    sampling: SamplingConfig | None,
) -> ViewsConfig | None:
    """Override views by the options; None for the middle clip.

    Args:
        options: of the command line.
        views: of the recipe, if any.
        sampling: of training clips.

    Raises:
        UserError: some options exclude each other.
    """
    changes = {
        "starts": options.starts,
        "pool": options.pool,
        "short_side_px": options.short_side,
        "crop_px": options.crop,
    }
    changes = {key: v for key, v in changes.items() if v is not None}
    if options.views is None and views is None:
        if changes or options.full_frame:
            raise UserError(
                "--full-frame, --starts, --pool, --short-side and --crop need "
                "views. Give --views too, such as --views 10x3."
            )
        return None
    views = views or _defaults(sampling or SamplingConfig())
    if options.views is not None:
        clips, crops = options.views
        changes |= {"clips": clips, "crops": crops}
    if options.full_frame:
        if options.views is not None and options.views[1] != 1:
            raise UserError(
                "Whole frames are not cropped: --full-frame goes with --views "
                f"{options.views[0]}x1."
            )
        if options.crop is not None:
            raise UserError("Whole frames are not cropped: leave out --crop.")
        changes["crops"] = 0
    elif options.short_side is not None and options.crop is None:
        changes["crop_px"] = options.short_side
    return dataclasses.replace(views, **changes)


def check(
    views: ViewsConfig, sampling: SamplingConfig, multi_label: bool
) -> None:
    """Raise a UserError for views that contradict themselves or the data."""
    check_pool(views.pool, multi_label)
    if views.starts == "centre" and views.clips > 1:
        raise UserError(
            f"Expected 1 clip with starts=centre. Received: {views.clips}"
        )
    try:
        frame_sampling.check(sampling, views)
    except ValueError as error:
        raise UserError(str(error)) from error


def check_pool(pool: str, multi_label: bool) -> None:
    """Raise a UserError for max pooling of single-label data."""
    if pool not in POOLS:
        raise UserError(unknown("pool of views", pool, POOLS))
    if pool == "max" and not multi_label:
        raise UserError(
            "Expected pool=mean for one label per video; max is for "
            "multi-label data. Received: max"
        )


def folder_name(views: ViewsConfig, sampling: SamplingConfig) -> str:
    """Name a folder for the scores of these views, such as "10x3"."""
    parts = [f"{views.clips}x{views.crops or 'frame'}"]
    if views.starts != "authors":
        parts.append(views.starts)
    usual = _defaults(sampling)
    sizes = (views.short_side_px, views.crop_px if views.crops else 0)
    if sizes != (usual.short_side_px, usual.crop_px if views.crops else 0):
        parts.append(f"{sizes[0]}px" + f"_{sizes[1]}" * bool(views.crops))
    return "_".join(parts)


def _defaults(sampling: SamplingConfig) -> ViewsConfig:
    """Return the authors' views at the resolution of validation."""
    side = sampling.eval_short_side_px
    return ViewsConfig(short_side_px=side, crop_px=side)
