"""Draw the attention maps of non-local blocks on a clip."""

import argparse
import io
import sys
from collections.abc import Sequence

import numpy as np

from nonlocal_tf import preprocess
from nonlocal_tf.attention import block_attention
from nonlocal_tf.attention.attention_map import AttentionMap
from nonlocal_tf.attention.plots import attention_plot, image_grid

from .data import clip_files, datasets, frame_times, video_encoder
from .data.video_container import pyav
from .data.video_limits import Limits
from .io import cli, outputs, paths, plots, tables
from .io.user_error import UserError
from .prediction import attention_input, limit_options
from .prediction.attention_input import AttentionInput
from .runs import run_model
from .runs.run_folder import RunFolder

EXAMPLE = (
    "nonlocal-tf visualize --workdir runs/digits_nl --sample 0 "
    "--out attention.png"
)
SUFFIXES = (".png", ".gif", ".mp4")
STRONGEST = "strongest"
Query = tuple[int, int, int] | str


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `nonlocal-tf visualize`."""
    options, has_arguments = _parse(arguments)
    if not has_arguments:
        print(cli.overview_of_runs(EXAMPLE))
        return
    out = _checked(options)
    model, recipe, info = run_model.load_trained(RunFolder(options.workdir))
    if options.clip is not None:
        limits = limit_options.limits_of(options, Limits.of(recipe.data))
        clip = attention_input.read_file(
            options.clip, recipe.sampling, options.at, limits
        )
        if options.at and clip.clip and not clip.clip.index.stamped:
            print(f"note: {frame_times.UNTRUSTED.format(path=options.clip)}")
        if clip.clip and (np.diff(clip.clip.numbers) < 0).any():
            print(
                f"note: {options.clip} ends before the clip does, which goes "
                "on at its start: give an earlier --at"
            )
    else:
        dataset = datasets.load(recipe.dataset, recipe.data, recipe.sampling)
        clip = attention_input.read_sample(
            dataset, options.split, options.sample
        )
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
    outputs.write_bytes(out, content, _read(options))
    for attention_map, query in zip(maps, queries, strict=True):
        note = " (the most concentrated)" if query == STRONGEST else ""
        print(
            f"{attention_map.block}: query {attention_map.query} (time, y, x)"
            f"{note} attends to"
        )
        print(_table(clip, attention_map, options.arrows))
    print(f"Image written to {out}")


def _checked(options) -> paths.Path:
    """Check the options and return the output path."""
    if options.workdir is None:
        raise UserError("Give --workdir DIR, the folder of a run.")
    if (options.clip is None) == (options.sample is None):
        raise UserError("Give either a clip file or --sample N.")
    if options.at is not None and options.clip is None:
        raise UserError("--at goes with a video file, not with --sample.")
    if options.arrows < 0:
        raise UserError(f"Expected --arrows from 0, not {options.arrows}.")
    out = paths.as_path(options.out)
    if out.suffix.lower() not in SUFFIXES:
        raise UserError(
            f"Expected --out to end in {', '.join(SUFFIXES[:-1])} or "
            f"{SUFFIXES[-1]}, not {options.out}."
        )
    outputs.check(out, _read(options))
    plots.require_pillow()
    if out.suffix.lower() == ".mp4":
        pyav()
    return out


def _read(options) -> list[str]:
    """Return the input paths, which are never overwritten."""
    return list(filter(None, (options.clip, options.workdir)))


def _attention_map(
    attention: block_attention.BlockAttention, query: Query
) -> AttentionMap:
    if isinstance(query, str):
        return attention.most_concentrated()
    return attention.at_pixel(query)


def _draw(
    clip: AttentionInput, maps: Sequence[AttentionMap], options, suffix: str
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
    clip: AttentionInput, attention_map: AttentionMap, count: int
) -> str:
    """Format the strongest keys, in pixels of the clip and of the video."""
    head = ["key", "center (frame, y, x) in pixels", "weight"]
    cells = attention_map.strongest_cells(count)
    rows = [
        [
            str(cell),
            str(attention_map.center_pixel(cell)),
            f"{attention_map.weights[cell]:.3g}",
        ]
        for cell in cells
    ]
    if clip.clip is not None:
        head.insert(2, "in the video")
        for row, cell in zip(rows, cells, strict=True):
            row.insert(2, str(clip.in_video(attention_map, cell)))
    return tables.render([head, *rows])


def _query(text: str) -> Query:
    if text == STRONGEST:
        return text
    try:
        frame, y, x = (int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            "expected FRAME,Y,X, three whole numbers, or 'strongest'; "
            f"received {text!r}"
        ) from error
    return frame, y, x


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


def _parse(arguments: Sequence[str] | None):
    parser = cli.parser(
        "visualize",
        "Draw attention maps of a non-local block of a trained run, like "
        "figure 3 of the\npaper. Videos are drawn in whole frames, dark "
        "outside of the network's input.\nWithout arguments: list the runs.",
        EXAMPLE,
    )
    parser.add_argument(
        "clip",
        nargs="?",
        help="video (also a GIF), if the run is on videos; or a clip of uint8 "
        f"RGB frames: {' or '.join(clip_files.FORMATS)}; a path or a URL",
    )
    parser.add_argument("--workdir", metavar="DIR", help="run folder or URL")
    parser.add_argument(
        "--at",
        type=_seconds,
        metavar="SECONDS",
        help="start of the clip in the video (default: the clip in the middle)",
    )
    parser.add_argument(
        "--sample",
        type=int,
        metavar="N",
        help="instead of a file: example N of the run's dataset",
    )
    parser.add_argument(
        "--split",
        default="test",
        help='of the sample: "test" (default) or "validation"',
    )
    parser.add_argument(
        "--block",
        metavar="NAME",
        help="layer name of the block (default: the last one)",
    )
    parser.add_argument(
        "--query",
        type=_query,
        action="append",
        metavar="FRAME,Y,X",
        help="query position, in pixels of the clip; or 'strongest': the query "
        "with the largest weight on one other key. Repeatable (default: the "
        "labelled position of a sample, else strongest)",
    )
    parser.add_argument(
        "--arrows",
        type=int,
        default=20,
        metavar="K",
        help="number of arrows, to the keys with the largest weights; keys "
        "below a twentieth of the largest get none (default: 20)",
    )
    parser.add_argument(
        "--style",
        choices=attention_plot.STYLES,
        help="arrows to cells, or weights as colours (default: arrows in a "
        ".png, heat in a video)",
    )
    parser.add_argument(
        "--out",
        default="attention.png",
        metavar="FILE",
        help="output file: frames in rows (.png), or a video (.gif, .mp4) "
        "(default: attention.png)",
    )
    limit_options.add_arguments(parser)
    return cli.parse(parser, arguments)


if __name__ == "__main__":
    sys.exit(cli.run(main))
