"""Command-line options for attention maps, and tables of their weights."""

import argparse
from collections.abc import Callable, Sequence

from nonlocal_tf.attention.attention_map import AttentionMap, Cell
from nonlocal_tf.attention.plots import attention_plot

from ..io import outputs, paths, plots, tables
from ..io.user_error import UserError

STRONGEST = "strongest"
AXES = ("frame", "y", "x")
# A position in pixels, or `STRONGEST`.
Query = tuple[int, ...] | str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of an attention map."""
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
        help="query position, in pixels of the clip; Y,X in pixels of an "
        "image; or 'strongest': the query with the largest weight on one "
        "other key. Repeatable (default: the labelled position of a sample, "
        "else strongest)",
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


def check(
    options: argparse.Namespace, default_out: str, suffixes: Sequence[str]
) -> paths.Path:
    """Check the options and return the output path.

    Args:
        options: of the command.
        default_out: output path where the options have none.
        suffixes: of the files that can be written.

    Raises:
        UserError: they are invalid, or Pillow is not installed.
    """
    if options.arrows < 0:
        raise UserError(f"Expected --arrows from 0, not {options.arrows}.")
    out = paths.as_path(options.out or default_out)
    if out.suffix.lower() not in suffixes:
        *first, last = suffixes
        listed = f"{', '.join(first)} or {last}" if first else last
        raise UserError(f"Expected --out to end in {listed}, not {out}.")
    outputs.check(out, inputs_of(options))
    plots.require_pillow()
    return out


def inputs_of(options: argparse.Namespace) -> list[str]:
    """Return the input paths, which are never overwritten."""
    sources = (options.workdir, options.model, options.weights)
    return [*options.inputs, *filter(None, sources)]


def query_in(query: Sequence[int], axes: Sequence[str]) -> tuple[int, ...]:
    """Return the position of a query on the axes of a clip or image.

    Raises:
        UserError: it has another number of axes.
    """
    if len(query) != len(axes):
        raise UserError(
            f"Expected --query {','.join(axes).upper()}, or 'strongest'. "
            f"Received: --query {','.join(map(str, query))}"
        )
    return tuple(query)


def table(
    attention_map: AttentionMap,
    is_strongest: bool,
    count: int,
    axes: Sequence[str] = AXES,
    in_video: Callable[[Cell], object] | None = None,
) -> str:
    """Format the strongest keys of a query, with their positions in pixels.

    Args:
        attention_map: of the query.
        is_strongest: whether the query was chosen for its weights.
        count: number of keys.
        axes: the last axes of the cells that are shown.
        in_video: gives the position of a cell in the video.
    """
    names, rank = ", ".join(axes), len(axes)
    head = ["key", f"center ({names}) in pixels", "weight"]
    cells = attention_map.strongest_cells(count)
    rows = [
        [
            str(cell[-rank:]),
            str(attention_map.center_pixel(cell)[-rank:]),
            f"{attention_map.weights[cell]:.3g}",
        ]
        for cell in cells
    ]
    if in_video is not None:
        head.insert(2, "in the video")
        for row, cell in zip(rows, cells, strict=True):
            row.insert(2, str(in_video(cell)))
    note = " (the most concentrated)" if is_strongest else ""
    names = names.replace("frame", "time")
    return (
        f"{attention_map.block}: query {attention_map.query[-rank:]} ({names})"
        f"{note} attends to\n{tables.render([head, *rows])}"
    )


def _query(text: str) -> Query:
    if text == STRONGEST:
        return text
    try:
        query = tuple(int(part) for part in text.split(","))
    except ValueError:
        query = ()
    if len(query) not in (2, 3):
        raise argparse.ArgumentTypeError(
            "expected FRAME,Y,X, whole numbers, or Y,X in an image, or "
            f"'strongest'; received {text!r}"
        )
    return query
