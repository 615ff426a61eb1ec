"""Train a recipe in a run folder; the same command resumes it.

A script of one's own does without recipe and run folder: `data.load`,
`model.fit`, `evaluation.evaluate` and `export.saved_model`, as in
examples/finetune_with_fit.py.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from nonlocal_tf import pretrained

from . import tasks
from .io import cli, quoting, tables
from .io.paths import Path
from .loop import distribution
from .loop.preemption import Preempted, sigterm
from .recipes import catalogue, overrides, schema
from .runs import overfitting, run_report, train_options
from .runs.run_folder import RunFolder
from .tasks import cross_validation, train_plan
from .tasks.train_run import train

EXAMPLE = "nonlocal-tf train --recipe digits_nl --workdir runs/digits_nl"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `nonlocal-tf train`."""
    options, has_arguments = cli.parse(parser(), arguments)
    if options.list or not has_arguments:
        print(_catalogue())
        return
    if options.accept_license:
        pretrained.accept_licenses()
    recipe = train_options.recipe_of(options)
    if options.seed is not None:
        recipe = schema.with_seed(recipe, options.seed)
    recipe = overrides.override(recipe, options.set)
    if options.print:
        print(overrides.to_json(recipe))
        return
    if options.plan:
        print(train_plan.plan(recipe, distribution.choose(options.devices)))
        return
    task = tasks.of_recipe(recipe)
    run = RunFolder(options.workdir or f"runs/{recipe.name}")
    parts = [(recipe, run)]
    if options.folds is not None:
        parts = cross_validation.runs(recipe, run.path, options.folds)
    verbose = train_options.verbosity(options)
    out = train_options.export_place(options, run)
    if out is not None:  # errors come now, not after training
        task.check_export(out, recipe)
    devices = distribution.choose(options.devices)
    if not devices.is_chief:
        verbose = 0
    every_s = 60 * options.checkpoint_minutes
    callback_factories = train_options.callback_factories(options)
    if verbose:
        print(f"Reading {task.data_name(recipe)} and building the network.")
    resume = train_options.resume(run, options)
    try:
        with sigterm.handled(), cross_validation.own_functions(len(parts)):
            results = [
                train(*part, verbose, devices, every_s, callback_factories)
                for part in _in_turn(parts)
            ]
    except Preempted:
        saved = any(part.recipe_path.exists() for _, part in parts)
        print("\nStopped by SIGTERM." + f" To resume: {resume}" * saved)
        return
    except KeyboardInterrupt:
        print(f"\nTo resume from the last checkpoint: {resume}")
        raise
    tested = [result for result in results if result is not None]
    if not tested:
        print(f"Worker {devices.worker} of {devices.workers} is done.")
        return
    if options.folds is not None:
        print(f"\n{recipe.name}, {cross_validation.finish(run.path, tested)}")
        return
    exported = task.export(run, out) if out is not None else None
    print(summary(recipe, run, tested[0], exported, options.plugin))


def _in_turn(
    parts: Sequence[tuple[Any, RunFolder]],
) -> Iterator[tuple[Any, RunFolder]]:
    """Yield recipes and run folders, and announce those of folds."""
    for fold, part in enumerate(parts):
        if len(parts) > 1:
            keras.utils.clear_session()  # names of layers as in one run
            print(f"Fold {fold} of {len(parts)}: {part[1].path}")
        yield part


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command."""
    parser = cli.parser(
        "train",
        "Trains a recipe. --workdir alone resumes a run that was stopped, and "
        "does nothing\nif it is done. Without arguments: lists the recipes.",
        EXAMPLE,
    )
    train_options.add(parser)
    return parser


def _catalogue() -> str:
    return (
        f"{catalogue.catalogue()}\n\nExample:\n  {EXAMPLE}\n\nAll options: "
        "nonlocal-tf train --help"
    )


def summary(
    recipe: Any,
    run: RunFolder,
    result: dict,
    exported: Path | None,
    plugins: Sequence[str] = (),
) -> str:
    """Format the scores of a run, and commands to try next."""
    task = tasks.of_recipe(recipe)
    scores, *suffix = task.summary(result)
    rows = [scores]
    rising = overfitting.rising_loss(run_report.read_metrics(run))
    if rising:
        rows.append(("validation loss", rising))
    rows += [
        *suffix,
        ("run folder", str(run.path)),
        ("report", str(run.path / run_report.REPORT)),
        ("exported", str(exported or "no (see export below)")),
    ]
    workdir = f"--workdir {quoting.shell(run.path)}"
    model = None
    if exported is not None:
        model = f"--model {quoting.shell(exported.parent)}"
    commands = list(task.next_commands(recipe, workdir, model))
    if exported is None:
        name = quoting.shell(f"savedmodels/{run.path.resolve().name}")
        commands.append(("export", "export", workdir, f"--out {name}"))
    own = [f"--plugin {quoting.shell(name)}" for name in plugins]
    typed = [
        (title, train_options.command(*words, *own))
        for title, *words in commands
    ]
    return (
        f"\n{recipe.name}\n{tables.render(rows)}\n\nTry next\n"
        f"{tables.render(typed)}"
    )


if __name__ == "__main__":
    sys.exit(cli.run(main))
