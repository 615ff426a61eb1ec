"""Attention maps drawn on clips, for the command `visualize`."""

import argparse
import io
from collections.abc import Sequence

import numpy as np

from nonlocal_tf import preprocess
from nonlocal_tf.attention import block_attention
from nonlocal_tf.attention.attention_map import AttentionMap
from nonlocal_tf.attention.plots import attention_plot, image_grid

from ..data import datasets, frame_times, video_encoder
from ..data.video_container import pyav
from ..data.video_limits import Limits
from ..io import outputs, paths
from ..io.user_error import UserError
from ..prediction import attention_input, attention_options, limit_options
from ..prediction.attention_input import AttentionInput
from ..prediction.attention_options import AXES, STRONGEST, Query
from ..recipes.schema import Recipe
from ..runs import run_model
from ..runs.run_folder import RunFolder

OUT = "attention.png"
SUFFIXES = (".png", ".gif", ".mp4")


def add_options(group: argparse._ArgumentGroup) -> None:
    """Add the options of a drawn clip to a group."""
    group.add_argument(
        "--at",
        type=_seconds,
        metavar="SECONDS",
        help="start of the clip in the video (default: the clip in the middle)",
    )
    group.add_argument(
        "--sample",
        type=int,
        metavar="N",
        help="instead of a file: example N of the run's data set",
    )
    group.add_argument(
        "--split",
        default="test",
        help='of the sample: "test" (default) or "validation"',
    )
    limit_options.add_arguments(group)


def run_command(options: argparse.Namespace) -> None:
    """Draw attention maps of the run of the options."""
    out = _checked(options)
    model, recipe, info = run_model.load_trained(RunFolder(options.workdir))
    clip = _read(options, recipe)
    if not block_attention.nonlocal_blocks(model):
        raise UserError(f"Model {model.name!r} has no non-local block.")
    if clip.pixels.shape != info.element_shape:
        raise UserError(
            f"This run takes clips of shape {info.element_shape}. "
            f"Received: {clip.pixels.shape}"
        )
    queries = options.query or [clip.query or STRONGEST]
    try:
        attention = block_attention.BlockAttention(
            model, preprocess.normalize(clip.pixels), options.block
        )
        maps = [_attention_map(attention, query) for query in queries]
        content = _draw(clip, maps, options, out.suffix.lower())
    except (ValueError, ImportError) as error:
        raise UserError(str(error)) from error
    outputs.write_bytes(out, content, attention_options.inputs_of(options))
    for attention_map, query in zip(maps, queries, strict=True):
        print(_table(clip, attention_map, query == STRONGEST, options.arrows))
    print(f"Image written to {out}")


def _checked(options: argparse.Namespace) -> paths.Path:
    """Check the options and return the output path."""
    if options.inputs[1:]:
        raise UserError(
            f"Expected one clip. Received: {' '.join(options.inputs)}"
        )
    if bool(options.inputs) == (options.sample is not None):
        raise UserError("Give either a clip file or --sample N.")
    if options.at is not None and not options.inputs:
        raise UserError("--at goes with a video file, not with --sample.")
    out = attention_options.check(options, OUT, SUFFIXES)
    if out.suffix.lower() == ".mp4":
        pyav()
    return out


def _read(options: argparse.Namespace, recipe: Recipe) -> AttentionInput:
    """Read the file or the sample of the options."""
    if not options.inputs:
        dataset = datasets.load(recipe.dataset, recipe.data, recipe.sampling)
        return attention_input.read_sample(
            dataset, options.split, options.sample
        )
    (path,) = options.inputs
    limits = limit_options.limits_of(options, Limits.of(recipe.data))
    clip = attention_input.read_file(path, recipe.sampling, options.at, limits)
    if options.at and clip.clip and not clip.clip.index.stamped:
        print(f"note: {frame_times.UNTRUSTED.format(path=path)}")
    if clip.clip and (np.diff(clip.clip.numbers) < 0).any():
        print(
            f"note: {path} ends before the clip does, which continues at its "
            "start: give an earlier --at"
        )
    return clip


def _attention_map(
    attention: block_attention.BlockAttention, query: Query
) -> AttentionMap:
    if isinstance(query, str):
        return attention.most_concentrated()
    frame, y, x = attention_options.query_in(query, AXES)
    return attention.at_pixel((frame, y, x))


def _draw(
    clip: AttentionInput,
    maps: Sequence[AttentionMap],
    options: argparse.Namespace,
    suffix: str,
) -> bytes:
    """Draw attention maps in one file, below or beside each other."""
    is_video = suffix != ".png"
    style = options.style or ("heat" if is_video else "arrows")
    draw = attention_plot.draw_video if is_video else attention_plot.draw_clip
    drawn = [
        draw(
            clip.frames,
            clip.on_frames(attention_map),
            options.arrows,
            style,
            clip.names,
        )
        for attention_map in maps
    ]
    if not is_video:
        png = io.BytesIO()
        image_grid.concatenate_images(drawn, "y").save(png, format="PNG")
        return png.getvalue()
    frames = (
        image_grid.concatenate_images(images, "x")
        for images in zip(*drawn, strict=True)
    )
    if suffix == ".gif":
        return image_grid.encode_gif(frames, clip.milliseconds)
    return video_encoder.encode_mp4(map(np.asarray, frames), clip.milliseconds)


def _table(
    clip: AttentionInput,
    attention_map: AttentionMap,
    is_strongest: bool,
    count: int,
) -> str:
    """Format the strongest keys, in pixels of the clip and of the video."""

    def in_video(cell):
        return clip.in_video(attention_map, cell)

    return attention_options.table(
        attention_map,
        is_strongest,
        count,
        in_video=None if clip.clip is None else in_video,
    )


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(
            f"expected seconds from 0, received {text!r}"
        )
    return number
