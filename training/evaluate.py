"""Scores a trained run on the examples of a split."""

import dataclasses
import sys
from collections.abc import Sequence

from training import cli, run_model, table
from training.data import pipeline
from training.data.datasets import check_split
from training.errors import UserError
from training.run_folder import RunFolder

EXAMPLE = "python -m training.evaluate --workdir runs/digits_nl"


@dataclasses.dataclass(frozen=True)
class Scores:
    """How a model does on a split, beside the accuracy of guessing."""

    split: str
    examples: int
    accuracy: float
    loss: float
    chance: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `python -m training.evaluate`."""
    parser = cli.parser(
        "training.evaluate",
        "Scores the latest checkpoint of a run. Without arguments: lists the "
        "runs.",
        EXAMPLE,
    )
    parser.add_argument("--workdir", metavar="DIR", help="run folder or URL")
    parser.add_argument(
        "--split",
        default="test",
        help='"test" (default) or "validation"',
    )
    options, given = cli.parse(parser, arguments)
    if not given:
        print(cli.overview_of_runs(EXAMPLE))
        return
    if options.workdir is None:
        raise UserError("Give --workdir DIR, the folder of a run.")
    scores = evaluate_run(RunFolder(options.workdir), options.split)
    rows = [
        ("split", scores.split),
        ("examples", scores.examples),
        ("accuracy", table.percent(scores.accuracy)),
        ("chance", table.percent(scores.chance)),
        ("loss", f"{scores.loss:.4f}"),
    ]
    print(table.render(rows))


def evaluate_run(run: RunFolder, split: str) -> Scores:
    """Scores the latest checkpoint of a run on "validation" or "test"."""
    check_split(split)
    model, _, dataset = run_model.load_trained(run)
    batches = pipeline.feed(dataset.eval_batches(split))
    logs = model.evaluate(batches, verbose=0, return_dict=True)
    if dataset.bad:
        run.write_bad_videos(dataset.bad)
        dataset.check_bad()
    return Scores(
        split=split,
        examples=dataset.examples(split),
        accuracy=float(logs["accuracy"]),
        loss=float(logs["loss"]),
        chance=dataset.guessing(split),
    )


if __name__ == "__main__":
    sys.exit(cli.run(main))
