"""Convert checkpoints between formats."""

import argparse
import dataclasses
import pathlib
import sys
import tempfile
from collections.abc import Sequence

from nonlocal_tf import checkpoints
from nonlocal_tf.models.backbones import SAMPLINGS, STEMS
from nonlocal_tf.models.video_resnet import CHANNELS

from .io import atomic_files, cli, outputs, paths, weight_errors
from .io.paths import Path, UrlPath
from .io.user_error import UserError

EXAMPLE = (
    "nonlocal-tf convert i3d_nonlocal_8x8.pkl i3d.pyth --to slowfast "
    "--sampling 8x8"
)
FORMATS = {
    "keras": "the model with its weights, for keras.models.load_model",
    "h5": "the weights alone, a .weights.h5 of Keras",
    "safetensors": "the weights alone, by our names, as safetensors",
    "caffe2": "the authors' blobs, a pickle",
    "slowfast": "a state dict that torch.load reads, with SlowFast's names",
    "pytorchvideo": "the same with pytorchvideo's, of networks without blocks",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `nonlocal-tf convert`."""
    parser = cli.parser(
        "convert",
        "Reads a checkpoint of any known format, runs none of its code, and "
        "writes it in\nanother. Without arguments: lists the formats.",
        EXAMPLE,
    )
    parser.add_argument("input", nargs="?", help="file to read, or its URL")
    parser.add_argument("output", nargs="?", help="file to write, or its URL")
    parser.add_argument(
        "--to",
        choices=FORMATS,
        metavar="FORMAT",
        help=f"{', '.join(FORMATS)} (default: as the output's name ends)",
    )
    parser.add_argument(
        "--sampling",
        choices=SAMPLINGS,
        help="the network's, which matters for --to keras; see from_checkpoint",
    )
    parser.add_argument(
        "--pairwise",
        metavar="NAME",
        help="embedded_gaussian, dot_product or efficient",
    )
    parser.add_argument(
        "--scale",
        type=_scale,
        metavar="S",
        help="factor on an embedded Gaussian's logits: rsqrt or a number",
    )
    parser.add_argument(
        "--stem",
        choices=STEMS,
        help="slowfast for the .pkl files of SlowFast's model zoo",
    )
    parser.add_argument(
        "--shape",
        type=cli.sizes,
        metavar="TxHxW",
        help="of a clip, e.g. 8x256x256, for --to keras",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the output file"
    )
    options, has_arguments = cli.parse(parser, arguments)
    if not has_arguments:
        rows = "\n".join(f"  {n:12} {text}" for n, text in FORMATS.items())
        print(f"Formats to write:\n{rows}\n\nExample:\n  {EXAMPLE}")
        return
    if options.input is None or options.output is None:
        raise UserError("Give the file to read and the file to write.")
    print(convert(options))


def convert(options) -> str:
    """Reads, writes and says what happened to every weight."""
    output = paths.as_path(options.output)
    to = options.to or _form_of(output)
    _check_name(output, options.input, to, options.overwrite)
    chosen = {
        name: getattr(options, name)
        for name in ("sampling", "pairwise", "scale", "stem")
        if getattr(options, name) is not None
    }
    if options.shape:
        chosen["clip_shape"] = (*options.shape, CHANNELS)
    with paths.local_copy(options.input) as path:
        with weight_errors.shown(
            "", weight_errors.of_conversion, str(path), str(options.input)
        ):
            model, report = checkpoints.from_checkpoint(path, **chosen)
    report = dataclasses.replace(report, path=str(options.input))
    with weight_errors.shown("", weight_errors.of_conversion):
        differs = _save(model, output, to)
    lines = [f"{report}\n{output} ({to}) written"]
    return "; its own code differs: ".join(lines + list(differs))


def _save(model, output: Path, to: str):
    """Write a file; return how the format's own networks differ."""
    if isinstance(output, UrlPath):
        with tempfile.TemporaryDirectory() as folder:
            scratch = pathlib.Path(folder) / output.name
            differs = checkpoints.save_weights(model, scratch, to)
            output.upload(scratch)
        return differs
    atomic_files.remove_leftovers(output)
    return checkpoints.save_weights(model, output, to, overwrite=True)


def _form_of(output: Path) -> str:
    try:
        return checkpoints.format_of_path(output.name)
    except ValueError as error:
        ends = ", ".join(checkpoints.WRITABLE_FORMATS.values())
        raise UserError(
            f"Give --to FORMAT, or a name that ends in one of {ends}. "
            f"Received: {output}"
        ) from error


def _check_name(output: Path, source: str, to: str, overwrite: bool) -> None:
    ends = checkpoints.WRITABLE_FORMATS[to]
    if to in ("keras", "h5") and not output.name.endswith(ends):
        raise UserError(
            f"Keras reads {to} files by their names. Expected the output to "
            f"end in {ends!r}. Received: {output}"
        )
    if isinstance(output, pathlib.Path) and not output.parent.is_dir():
        raise UserError(f"There is no folder {output.parent} to write to.")
    atomic_files.check_writable(output)
    if outputs.is_same(output, source):
        raise UserError(
            f"{output} is the file to read, which is not written over. Give "
            "another name."
        )
    if output.exists() and not overwrite:
        raise UserError(f"{output} exists. Give another name or --overwrite.")


def _scale(text: str) -> str | float:
    try:
        return text if text == "rsqrt" else float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"expected rsqrt or a number, received {text!r}"
        ) from error


if __name__ == "__main__":
    sys.exit(cli.run(main))
