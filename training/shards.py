"""Convert a video data set to TFRecord shards of JPEG frames.

Clips with a large stride are then read in a half to a third of the time (with a
small stride in the same time), also from object stores and by a tf.data
service. Shards take 6 to 25 times the space of the videos, with frames of at
most 256 pixels on the short side.

The shards are SequenceExamples with MediaSequence's keys, in files such as
train-00000-of-00012.tfrecord; train on them with `--set
dataset=media_sequence`. `index.json` lists their records. Training videos are
shuffled, for programs that read shards sequentially, and long ones are cut into
several records of equal length, each with the labels of its time range. Videos
of other splits are not cut, because evaluation takes clips of whole videos.

To resume an interrupted conversion, run the same command again: finished shards
are kept. Unreadable videos are left out and listed in bad_videos.csv.
"""

import dataclasses
import sys
from collections.abc import Sequence

from .data import beam, dataset_options, shard_indexing, sharding
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
    dataset_options.add_arguments(parser)
    parser.add_argument("--out", metavar="DIR", help="output folder")
    for option, text in (
        ("short-side", "short side in pixels to which frames are scaled down"),
        ("quality", "JPEG quality, up to 100"),
        ("shard-videos", "videos per shard"),
        ("max-frames", "frames per training record"),
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
        "--limit", type=cli.count, metavar="N", help="videos per split"
    )
    parser.add_argument(
        "--workers", type=cli.count, metavar="N", default=1, help="processes"
    )
    parser.add_argument(
        "--retry-bad",
        action="store_true",
        help="write shards with bad videos again",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="compare the checksums of the shards in --out with index.json",
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
        help="options of Beam, such as '--runner=FlinkRunner ...'",
    )
    options, has_arguments = cli.parse(parser, arguments)
    if not has_arguments:
        print(dataset_options.overview(EXAMPLE))
        return
    if options.index is not None:
        print(shard_indexing.write_index(options.index))
        return
    if options.out is None:
        raise UserError("Give --out DIR.")
    if options.verify:
        print(sharding.verify(options.out))
        return
    if options.quality > 100:
        raise UserError(
            f"Expected --quality up to 100. Received: {options.quality}"
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
