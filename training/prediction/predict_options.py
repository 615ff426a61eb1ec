"""Command-line options of `nonlocal-tf predict`, and checks of them."""

import argparse
from collections.abc import Sequence

from ..data import clip_files
from ..data.sampling_config import SamplingConfig, ViewsConfig
from ..evaluation import scoring, view_options
from ..io import cli, plots
from ..io.user_error import UserError
from . import limit_options
from .predictor import Predictor
from .video_inputs import Input

TOP = 5


def add_arguments(parser: argparse._ArgumentGroup) -> None:
    """Add the options of a prediction of videos to a group."""
    parser.add_argument(
        "--sample",
        type=int,
        metavar="N",
        help="instead of a file: example N of the model's data set",
    )
    parser.add_argument(
        "--split",
        default="test",
        help='split of the sample: "test" (default) or "validation"',
    )
    parser.add_argument(
        "--top",
        type=int,
        metavar="K",
        help=f"number of classes (default: {TOP}; 1 with several videos)",
    )
    view_options.add_arguments(parser, default="one clip, in the middle")
    parser.add_argument(
        "--timeline",
        nargs="?",
        type=_seconds,
        const=1.0,
        metavar="SECONDS",
        help="slide a clip along each video with this step (default: 1); the "
        "scores of the video are the mean over all steps",
    )
    parser.add_argument(
        "--plot", metavar="FILE.png", help="also plot the timeline of a video"
    )
    parser.add_argument(
        "--save-clip", metavar="FILE.npy", help="also write the clip's pixels"
    )
    limit_options.add_arguments(parser)


def _seconds(text: str) -> float:
    try:
        return cli.positive(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(
            f"{error}; without seconds, put --timeline after the videos"
        ) from error


def check(options: argparse.Namespace) -> None:
    """Raise a UserError for options that exclude each other."""
    if options.model is None:
        raise UserError("Give --model DIR, a SavedModel or a run folder.")
    if bool(options.inputs) == (options.sample is not None):
        raise UserError(
            "Give either a clip file or videos (or folders), or --sample N."
        )
    if options.top is not None and options.top < 1:
        raise UserError(f"Expected --top to be at least 1, not {options.top}.")
    several_views = options.views or options.timeline is not None
    if options.sample is not None and (several_views or options.out):
        raise UserError(
            "A sample is one clip: --sample excludes --views, --timeline and "
            "--out."
        )
    if options.save_clip and several_views:
        raise UserError(
            "--save-clip writes one clip. Leave out --views and --timeline."
        )
    if options.save_clip:
        clip_files.check_name(options.save_clip)
    if options.plot and options.timeline is None:
        raise UserError("--plot plots a timeline. Give --timeline too.")
    if options.plot and not options.plot.lower().endswith(".png"):
        raise UserError(f"Expected --plot to end in .png, not {options.plot}.")
    if options.plot:
        plots.require()


def check_inputs(options: argparse.Namespace, inputs: Sequence[Input]) -> None:
    """Raise a UserError for several inputs where one is expected."""
    for name in ("save_clip", "plot"):
        if getattr(options, name) and len(inputs) > 1:
            raise UserError(
                f"--{name.replace('_', '-')} expects one video. Received: "
                f"{len(inputs)} videos"
            )


def check_timeline(model: Predictor) -> None:
    """Raise a UserError unless a model can score a timeline."""
    if model.sampling is None:
        raise UserError(
            f"--timeline expects a model of videos. Received: {model.path}, "
            "which is not trained on videos."
        )
    if model.decoder != "pyav":
        raise UserError(
            f"--timeline needs PyAV. Received: a run with "
            f"data.decoder={model.decoder}, which decodes whole files."
        )
    if model.views.clips != 1:
        raise UserError(
            "--timeline slides one clip along the video. Expected --views 1x1 "
            f"or 1x3. Received: {model.views.clips} clips"
        )


def views_of(
    options: argparse.Namespace,
    views: ViewsConfig | None,
    sampling: SamplingConfig | None,
) -> ViewsConfig | None:
    """Resolve the views; None (one clip) without options of views."""
    chosen = view_options.views_of(options, views, sampling)
    has_view_options = options.full_frame or any(
        value is not None
        for value in (
            options.starts,
            options.pool,
            options.short_side,
            options.crop,
        )
    )
    return chosen if options.views is not None or has_view_options else None


def describe_views(options: argparse.Namespace, model: Predictor) -> str:
    """Describe the views of each input in one line."""
    if model.sampling is None:
        return "the clip as it is"
    views = scoring.describe_views(model.views)
    if options.timeline is None:
        return views
    crops = views.rpartition(", starts")[0]
    return f"every {options.timeline:g} s along the video, {crops}"
