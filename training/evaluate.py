"""Evaluate a trained run, or a published detector."""

import sys
from collections.abc import Sequence

from . import tasks
from .io import cli
from .runs.run_folder import RunFolder
from .tasks import Detection, VideoClassification, option_groups

EXAMPLE = "nonlocal-tf evaluate --workdir runs/digits_nl"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `nonlocal-tf evaluate`."""
    parser = cli.parser(
        "evaluate",
        "Evaluate a run, its last epoch or its best (training.keep): accuracy "
        "of a network of\nvideos, average precision of a detector. Without "
        "arguments: list the runs.",
        EXAMPLE,
    )
    option_groups.add_sources(parser)
    parser.add_argument(
        "--set",
        metavar="data.FIELD=VALUE",
        action="append",
        default=[],
        help="other data than the recipe's, whose classes are matched by name: "
        "data.root=DIR for a new place, data.test=FILE or data.validation=FILE "
        "for another list; repeatable",
    )
    groups = option_groups.add(parser, "add_evaluate_options")
    options = cli.parse_or_list_runs(parser, arguments, EXAMPLE)
    if options is None:
        return
    option_groups.check_one_source(
        options,
        ("workdir", "weights", "recompute"),
        "Give --workdir DIR, the folder of a run; or --weights FILE, or "
        "--recompute FILE.",
    )
    task: tasks.Task = VideoClassification()
    if options.weights is not None:
        task = Detection()
    elif options.workdir is not None:
        task = tasks.of_recipe(RunFolder(options.workdir).read_recipe())
    option_groups.refuse_others(groups, options, task)
    task.evaluate(options)


if __name__ == "__main__":
    sys.exit(cli.run(main))
