"""Convert a data set of videos to TFRecord shards of JPEG frames.

A clip with a large stride is then read in a half to a third of the time (with a
small one in the same), and can be read from object stores and by a tf.data
service; for 6 to 25 times the space of the videos. Their short side becomes at
most 256 pixels.

The shards are SequenceExamples with MediaSequence's keys, in files such as
train-00000-of-00012.tfrecord, which `--set dataset=media_sequence` trains on;
`index.json` beside them says what is in them. Videos to train on come in
a drawn order, so that programs that read shards from start to end see classes
mixed, and a long one becomes several records, as long as each other, each with
the labels that are seen in it. Those of the other splits stay whole, because
a test is of whole videos.

Run the same command again after it was stopped: shards that are finished
stay. Videos that cannot be read are left out and listed in bad_videos.csv.
"""

import dataclasses
import sys
from collections.abc import Sequence

from .data import beam, command, shard_scan, sharding
from .data.sharding import ShardsConfig
from .io import cli
from .io.user_error import UserError
from .recipes import overrides

EXAMPLE = (
    "nonlocal-tf shards --dataset folder --set data.root=videos --out shards"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `nonlocal-tf shards`."""
    parser = cli.parser("shards", (__doc__ or "").strip(), EXAMPLE)
    defaults = ShardsConfig()
    command.add_arguments(parser)
    parser.add_argument("--out", metavar="DIR", help="holds the shards")
    for option, text in (
        ("short-side", "pixels that the short side is scaled down to"),
        ("quality", "of the JPEGs, up to 100"),
        ("shard-videos", "videos in a file"),
        ("max-frames", "of a record to train on"),
    ):
        name = option.replace("-", "_")
        name = name if hasattr(defaults, name) else f"{name}_px"
        parser.add_argument(
            f"--{option}",
            dest=name,
            type=cli.count,
            metavar="N",
            default=getattr(defaults, name),
            help=f"{text} (default: {getattr(defaults, name)})",
        )
    parser.add_argument(
        "--limit", type=cli.count, metavar="N", help="videos of each split"
    )
    parser.add_argument(
        "--workers", type=cli.count, metavar="N", default=1, help="processes"
    )
    parser.add_argument(
        "--retry-bad",
        action="store_true",
        help="make shards again that bad videos were left out of",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="read the shards in --out and compare them with index.json",
    )
    parser.add_argument(
        "--index",
        metavar="PATTERN",
        help="write index.json for shards of another program",
    )
    parser.add_argument(
        "--beam", action="store_true", help="run as an Apache Beam pipeline"
    )
    parser.add_argument(
        "--beam-options",
        metavar="OPTIONS",
        default="",
        help="for Beam, such as '--runner=FlinkRunner ...'",
    )
    options, given = cli.parse(parser, arguments)
    if not given:
        print(command.overview(EXAMPLE))
        return
    if options.index is not None:
        print(shard_scan.write_index(options.index))
        return
    if options.out is None:
        raise UserError("Give --out DIR.")
    if options.verify:
        print(sharding.verify(options.out))
        return
    if options.quality > 100:
        raise UserError(
            f"Expected --quality {options.quality} to be up to 100."
        )
    values = vars(options)
    fields = [field.name for field in dataclasses.fields(ShardsConfig)]
    config = ShardsConfig(**{f: values[f] for f in fields if f in values})
    run = sharding.in_processes(options.workers)
    if options.beam:
        run = beam.runner(options.beam_options, options.workers)
    config = overrides.apply(config, options.set)
    print(
        sharding.make(
            options.dataset, config, options.out, run, options.retry_bad
        )
    )


if __name__ == "__main__":
    sys.exit(cli.run(main))
