"""Draw attention maps on a clip, or the detections of images."""

import sys
from collections.abc import Sequence

from . import tasks
from .data import clip_files
from .io import cli, outputs
from .prediction import attention_options
from .runs.run_folder import RunFolder
from .tasks import Detection, option_groups

EXAMPLE = (
    "nonlocal-tf visualize --workdir runs/digits_nl --sample 0 "
    "--out attention.png"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `nonlocal-tf visualize`."""
    parser = cli.parser(
        "visualize",
        "Draw attention maps of a non-local block of a trained run, like "
        "figure 3 of the\npaper. Videos are drawn in whole frames, dark "
        "outside of the network's input. With\na detector: draw the "
        "detections of images, and attention maps with --query.\nWithout "
        "arguments: list the runs.",
        EXAMPLE,
    )
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="for a run on videos: a video (also a GIF), or a clip of uint8 "
        f"RGB frames: {' or '.join(clip_files.FORMATS)}; for a detector: "
        "images, or folders of them; paths or URLs",
    )
    option_groups.add_sources(parser)
    parser.add_argument(
        "--model",
        metavar="DIR",
        help="instead of a run: the SavedModel of a detector, without "
        "attention maps",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="output file: frames in rows, or images (.png), or a video (.gif, "
        ".mp4) (default: attention.png; of a detector detections.png)",
    )
    attention_options.add_arguments(parser)
    groups = option_groups.add(parser, "add_visualize_options")
    options = cli.parse_or_list_runs(parser, arguments, EXAMPLE)
    if options is None:
        return
    option_groups.check_one_source(
        options,
        ("workdir", "model", "weights"),
        "Give --workdir DIR, the folder of a run; or of a detector --model DIR "
        "or --weights FILE.",
    )
    if options.out is not None:
        sources = (options.workdir, options.model, options.weights)
        outputs.check(options.out, filter(None, (*options.inputs, *sources)))
    task: tasks.Task = Detection()
    if options.workdir is not None:
        task = tasks.of_recipe(RunFolder(options.workdir).read_recipe())
    option_groups.refuse_others(groups, options, task)
    task.visualize(options)


if __name__ == "__main__":
    sys.exit(cli.run(main))
