"""List the networks, or print the architecture of one."""

import sys
from collections.abc import Sequence

import nonlocal_tf as nl
from nonlocal_tf.models.backbones import SAMPLINGS
from nonlocal_tf.pretrained.published_weights import PublishedWeights

from .io import cli
from .io.user_error import UserError
from .recipes import shown_abilities

FRAME_ORDER = """\
C2D networks process frames separately: with non-local blocks or without, frames
in another order have the same scores. I3D networks depend on the order."""
WEIGHTS_EXAMPLE = """\
Python:   nl.create_model("i3d_nl5_r50", weights="k400_8x8_slowfast")
Command:  nonlocal-tf train --recipe finetune_pretrained \\
              --set model.weights=k400_8x8_slowfast --set data.root=videos"""
EXAMPLE = "nonlocal-tf models --summary i3d_nl5_r50 --sampling 32x2"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `nonlocal-tf models`."""
    parser = cli.parser(
        "models",
        "Lists the registered networks, or prints the table of one as the "
        "paper does:\nkernels, outputs, parameters and multiply-adds of each "
        "stage.",
        EXAMPLE,
    )
    parser.add_argument("--summary", metavar="NAME", help="of which network")
    parser.add_argument(
        "--list", metavar="PATTERN", help='those that match, e.g. "i3d_nl*"'
    )
    parser.add_argument(
        "--weights",
        action="store_true",
        help="list published weights of the networks of --list, with license, "
        "accuracy and address",
    )
    parser.add_argument(
        "--sampling", choices=SAMPLINGS, help="of a network of the paper"
    )
    parser.add_argument(
        "--shape",
        type=cli.sizes,
        metavar="TxHxW",
        help="of a clip, e.g. 8x256x256; HxW of an image",
    )
    parser.add_argument(
        "--inflation", choices=("3x1x1", "3x3x3"), help="of an I3D"
    )
    options, _ = cli.parse(parser, arguments)
    chosen = {
        name: getattr(options, name)
        for name in ("sampling", "inflation")
        if getattr(options, name) is not None
    }
    if options.summary is None:
        if chosen or options.shape:
            raise UserError("Give --summary NAME, the network to print.")
        pattern = options.list or "*"
        print(
            _weights(nl.list_weights(pattern))
            if options.weights
            else _listed(nl.list_models(pattern))
        )
        return
    try:
        model = nl.create_model(options.summary, **chosen)
        shape = options.shape and (*options.shape, model.input_shape[-1])
        print(nl.summary(model, shape))
    except (ValueError, TypeError) as error:
        raise UserError(str(error)) from error


def _weights(rows: Sequence[PublishedWeights]) -> str:
    """Format published weights, two lines each."""
    lines = [
        f"{row.network}  {row.name}\n      {row.accuracy_text}\n"
        f"      {row.license}, {row.address or 'part of the package'}"
        for row in rows
    ]
    return "\n".join([*(lines or ["none"]), "", WEIGHTS_EXAMPLE])


def _listed(names: Sequence[str]) -> str:
    """Format a list of networks, with the abilities that they showed."""
    notes = {name: shown_abilities.of_network(name) for name in names}
    rows = [
        "\n      ".join([f"  {name}", *lines]) for name, lines in notes.items()
    ]
    parts = ["Models:\n" + ("\n".join(rows) or "  none"), FRAME_ORDER]
    if any(notes.values()):
        parts.append(shown_abilities.legend())
    return "\n\n".join([*parts, f"Example:\n  {EXAMPLE}"])


if __name__ == "__main__":
    sys.exit(cli.run(main))
