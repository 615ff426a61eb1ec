"""Draws where a position of a clip looks, as a PNG strip of its frames."""

import argparse
import io
import sys
from collections.abc import Sequence

from nonlocal_tf import preprocess, visualize
from training import cli, files, remote, run_model, table
from training.data import clips
from training.data.datasets import Example
from training.errors import UserError
from training.run_folder import RunFolder

EXAMPLE = (
    "python -m training.visualize --workdir runs/digits_nl --sample 0 "
    "--out looks.png"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `python -m training.visualize`."""
    options, given = _parse(arguments)
    if not given:
        print(cli.overview_of_runs(EXAMPLE))
        return
    if options.workdir is None:
        raise UserError("Give --workdir DIR, the folder of a run.")
    if (options.clip is None) == (options.sample is None):
        raise UserError("Give either a clip file or --sample N.")
    out = remote.as_path(options.out)
    if out.suffix.lower() != ".png":
        raise UserError(f"Expected --out to end in .png, not {options.out}.")
    if options.arrows < 0:
        raise UserError(f"Expected --arrows from 0, not {options.arrows}.")
    model, recipe, dataset = run_model.load_trained(RunFolder(options.workdir))
    if options.clip is not None:
        pixels = clips.read_clip(options.clip, recipe.sampling)
        example = Example(pixels, label=-1)
    else:
        example = dataset.example(options.split, options.sample)
    if not visualize.nonlocal_blocks(model):
        raise UserError(f"Model {model.name!r} has no non-local block.")
    query = options.query or example.query
    if query is None:
        raise UserError("Say where to look from: --query FRAME,Y,X in pixels.")
    if example.pixels.shape != dataset.element_shape:
        raise UserError(
            f"This run takes clips of shape {dataset.element_shape}. "
            f"Received: {example.pixels.shape}"
        )
    try:
        look = visualize.affinity(
            model, preprocess.normalize(example.pixels), query, options.block
        )
        picture = visualize.strip(example.pixels, look, options.arrows)
    except (ValueError, ImportError) as error:
        raise UserError(str(error)) from error
    out.parent.mkdir(parents=True, exist_ok=True)
    png = io.BytesIO()
    picture.save(png, format="PNG")
    files.write_bytes(out, png.getvalue())
    print(f"{look.block}: cell {look.query} (time, y, x) looks at")
    rows = [("cell", "its middle (frame, y, x) in pixels", "weight")]
    rows += [
        (str(cell), str(look.middle(cell)), f"{look.weights[cell]:.3f}")
        for cell in look.strongest(options.arrows)
    ]
    print(table.render(rows))
    print(f"Picture written to {out}")


def _point(text: str) -> tuple[int, int, int]:
    try:
        frame, y, x = (int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"expected FRAME,Y,X, three whole numbers; received {text!r}"
        ) from error
    return frame, y, x


def _parse(arguments: Sequence[str] | None):
    parser = cli.parser(
        "training.visualize",
        "Draws what a non-local block of a trained run looks at. Without "
        "arguments:\nlists the runs.",
        EXAMPLE,
    )
    parser.add_argument(
        "clip",
        nargs="?",
        help="video, if the run is on videos; or clip file: "
        f"{' or '.join(clips.READERS)}, uint8 RGB frames",
    )
    parser.add_argument("--workdir", metavar="DIR", help="run folder or URL")
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
        type=_point,
        metavar="FRAME,Y,X",
        help="pixel to look from (default for samples: what is labelled)",
    )
    parser.add_argument(
        "--arrows",
        type=int,
        default=3,
        metavar="K",
        help="mark so many of the strongest at the most (default: 3)",
    )
    parser.add_argument(
        "--out",
        default="looks.png",
        metavar="FILE",
        help="picture to write (default: looks.png)",
    )
    return cli.parse(parser, arguments)


if __name__ == "__main__":
    sys.exit(cli.run(main))
