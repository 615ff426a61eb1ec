"""Train and print the paper's table 2, on small clips.

The same for the table of abilities: which network sees what. Repeating the
command resumes it. The tables are in `training/reproduce/ablation_tables.py`
and `training/reproduce/ability_table.py`.
"""

import argparse
import os
import pathlib
import sys
from collections.abc import Sequence

from .data.ability_config import ABILITIES
from .io import atomic_files, cli, paths
from .io import tables as table
from .io.user_error import UserError
from .io.versions import versions
from .reproduce import (
    ability_summary,
    ability_table,
    ablation_runs,
    ablation_tables,
    jobs,
    model_zoo,
)
from .reproduce.ablation_runs import AblationRun

EXAMPLE = "nonlocal-tf ablations --table 2a --seeds 0,1,2"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `nonlocal-tf ablations`."""
    options, has_arguments = _parse(arguments)
    if not has_arguments:
        print(_overview())
        return
    tables = options.table or list(ablation_tables.TABLES)
    runs = ablation_runs.runs_of(
        tables, options.seeds, options.workdir, options.steps, options.ability
    )
    _check_choice(options, runs)
    published = ability_table.read_results() if options.steps is None else {}
    if options.anew:
        published = {}
    pending = [run for run in runs if not _is_done(run, published)]
    if options.publish:
        _check_publishing(options, pending)
    problems = []
    if pending and not options.no_train:
        problems += train(pending, options.workdir, options.jobs)
    if options.publish:
        problems += publish(runs)
        print(_unpublished(runs), end="")
        model_zoo.update_page()
        ability_summary.update()
    print(_tables(tables, merged(published, runs)))
    if problems:
        raise UserError(" ".join(problems))


def train(
    runs: Sequence[AblationRun], workdir: pathlib.Path, at_once: int
) -> list[str]:
    """Train unfinished runs.

    Returns:
        Failures: nothing or one sentence.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    print(
        f"{len(runs)} runs to train, {at_once} at a time, with "
        f"{jobs.threads_each(at_once)} threads each.",
        flush=True,
    )
    try:
        with atomic_files.locked(workdir):
            failed = jobs.run(ablation_runs.jobs_of(runs, workdir), at_once)
    except KeyboardInterrupt:
        print("\nTo resume after the last complete epochs: the same command.")
        raise
    if not failed:
        return []
    return [
        f"Not trained to the end: {', '.join(failed)}. Their output is in "
        f"{workdir}/NAME.log."
    ]


def publish(runs: Sequence[AblationRun]) -> list[str]:
    """Copy the results of finished runs to those of MODEL_ZOO.md.

    Returns:
        A sentence per run that was refused.
    """
    problems = []
    for run in runs:
        try:
            ablation_runs.publish(run, ability_table.RESULTS)
        except UserError as error:
            problems.append(str(error))
    return problems


def merged(
    published: ability_table.Results, runs: Sequence[AblationRun]
) -> ability_table.Results:
    """Merge published results and those of some runs, in seed order."""
    by_seed = {
        cell: {result["seed"]: result for result in results}
        for cell, results in published.items()
    }
    for run in runs:
        result = run.read_result()
        if result is not None:
            seeds = by_seed.setdefault(run.cell.name, {})
            seeds.setdefault(run.recipe.seed, result)
    return {
        cell: [seeds[seed] for seed in sorted(seeds)]
        for cell, seeds in by_seed.items()
    }


def _is_done(run: AblationRun, published: ability_table.Results) -> bool:
    seeds = {result["seed"] for result in published.get(run.cell.name, [])}
    return run.recipe.seed in seeds or run.read_result() is not None


def _check_choice(
    options: argparse.Namespace, runs: Sequence[AblationRun]
) -> None:
    """Raise for a choice without runs, or a workdir that is a file."""
    if not runs:
        raise UserError(
            "Expected an ability of the tables. Received: "
            f"--ability {', '.join(options.ability)}, which no row of table "
            f"{', '.join(options.table or ablation_tables.TABLES)} is trained "
            "on. Add --table abilities."
        )
    folder = options.workdir
    if folder.exists() and not folder.is_dir():
        raise UserError(
            f"Expected --workdir as a folder. Received: {folder}, a file"
        )


def _unpublished(runs: Sequence[AblationRun]) -> str:
    """List the runs without a published result, in a line if there are any."""
    folder = ability_table.RESULTS
    names = [run.name for run in runs if not (folder / run.file).exists()]
    if not names:
        return ""
    return f"Without a published result: {', '.join(names)}\n"


def _check_publishing(
    options: argparse.Namespace, pending: Sequence[AblationRun]
) -> None:
    """Raise early for runs that could not be published."""
    atomic_files.check_writable_folder(ability_table.RESULTS)
    if options.steps is not None:
        raise UserError("--publish is for whole runs: leave --steps out.")
    commit = versions()["commit"]
    if pending and not options.no_train and not ablation_runs.is_clean(commit):
        raise UserError(
            "--publish expects runs of committed code, and this checkout is "
            f"{commit}: commit first."
        )


def _tables(names: Sequence[str], results: ability_table.Results) -> str:
    return "\n\n".join(_table(name, results) for name in names)


def _table(name: str, results: ability_table.Results) -> str:
    if name == ablation_runs.ABILITIES_TABLE:
        title = "Which network sees what: accuracy, 95 % interval"
        return f"{title}\n{table.render(ability_table.rows(results))}"
    chosen = ablation_tables.TABLES[name]
    lines = [
        f"Table {name}: {chosen.title} (paper: {chosen.network})",
        chosen.claim,
        table.render(model_zoo.ablation_rows(chosen, results)),
        f"Here: {ablation_tables.verdict(chosen, results)}",
    ]
    return "\n".join(lines)


def _overview() -> str:
    names = list(ablation_tables.TABLES)
    return (
        f"{_tables(names, ability_table.read_results())}\n\n"
        f"Example:\n  {EXAMPLE}\n\nAll options: nonlocal-tf ablations --help"
    )


def _parse(arguments: Sequence[str] | None):
    parser = cli.parser(
        "ablations",
        "Train the rows of the paper's table 2 on small generated clips, or "
        "those of the\ntable of abilities, and print the tables. Finished and "
        "published runs are\nskipped, stopped ones resumed. Without arguments: "
        "print the paper's tables.",
        EXAMPLE,
    )
    parser.add_argument(
        "--table",
        action="append",
        choices=[*ablation_tables.TABLES, ablation_runs.ABILITIES_TABLE],
        help="of the paper, or abilities; repeatable (default: all of the "
        "paper)",
    )
    parser.add_argument(
        "--ability",
        action="append",
        choices=ABILITIES,
        help="of the clips; repeatable (default: all)",
    )
    parser.add_argument(
        "--seeds",
        type=_seeds,
        default=(0,),
        metavar="N,N",
        help="of each row's runs (default: 0)",
    )
    parser.add_argument(
        "--workdir",
        type=_folder,
        default=pathlib.Path("runs/ablations"),
        metavar="DIR",
        help="folder of the run folders (default: runs/ablations)",
    )
    parser.add_argument(
        "--jobs",
        type=cli.count,
        default=max((os.cpu_count() or 1) // 2, 1),
        metavar="N",
        help="parallel runs, which share the cores (default: one per two "
        "cores); one per core is faster in total, but another number of "
        "threads changes the last digits of a run",
    )
    parser.add_argument(
        "--steps",
        type=cli.count,
        metavar="N",
        help="train for only so many steps, to try the command",
    )
    parser.add_argument(
        "--anew",
        action="store_true",
        help="train what has a published result, too: to compare with it",
    )
    parser.add_argument(
        "--no-train",
        action="store_true",
        help="only print and publish existing results",
    )
    parser.add_argument(
        "--publish",
        action="store_true",
        help="copy results to training/reproduce/results and write what "
        "shows them, such as MODEL_ZOO.md, in a clone",
    )
    return cli.parse(parser, arguments)


def _folder(text: str) -> pathlib.Path:
    path = paths.as_path(text)
    if not isinstance(path, pathlib.Path):
        raise argparse.ArgumentTypeError(
            f"expected a folder of this machine, received {text}"
        )
    return path


def _seeds(text: str) -> tuple[int, ...]:
    if not all(part.isdecimal() for part in text.split(",")):
        raise argparse.ArgumentTypeError(
            f"expected seeds such as 0,1,2, received {text!r}"
        )
    return tuple(dict.fromkeys(map(int, text.split(","))))


if __name__ == "__main__":
    sys.exit(cli.run(main))
