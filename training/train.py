"""Trains a recipe into a run folder; the same command resumes it."""

import contextlib
import dataclasses
import math
import os
import shutil
import sys
import time
from collections.abc import Sequence

from training import (
    catalogue,
    cli,
    evaluate,
    export,
    fitting,
    recipe,
    recipe_text,
    remote,
    report,
    run_model,
    strategy,
    table,
)
from training.data import dataset_of
from training.errors import UserError
from training.evaluation import view_options
from training.recipes import get_recipe
from training.run_folder import RunFolder
from training.stopping import Preempted, sigterm

EXAMPLE = "python -m training.train --recipe digits_nl --workdir runs/digits_nl"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `python -m training.train`."""
    options, given = _parse(arguments)
    if options.list or not given:
        print(_catalogue())
        return
    if options.recipe is not None:
        chosen = get_recipe(options.recipe)
    elif options.workdir and RunFolder(options.workdir).recipe_path.exists():
        chosen = RunFolder(options.workdir).read_recipe()
    elif options.workdir:
        raise UserError(
            f"There is no run in {options.workdir}. Give --recipe NAME too "
            "(see --list) to start one."
        )
    else:
        raise UserError(
            "Give --recipe NAME (see --list), or the --workdir of a run to "
            "resume."
        )
    if options.seed is not None:
        chosen = recipe.with_seed(chosen, options.seed)
    chosen = recipe_text.override(chosen, options.set)
    if options.print:
        print(recipe_text.to_json(chosen))
        return
    run = RunFolder(options.workdir or f"runs/{chosen.name}")
    verbose = options.verbose
    if verbose is None:
        verbose = 1 if sys.stdout.isatty() else 2
    if options.export:  # what is wrong with it is said now, not at the end
        export.check_out(remote.as_path(options.export), chosen)
    devices = strategy.choose(options.devices)
    if not devices.is_chief:
        verbose = 0
    every_s = 60 * options.checkpoint_minutes
    again = _resume(run, options)
    try:
        with sigterm.handled():
            result = train(chosen, run, verbose, devices, every_s)
    except Preempted:
        saved = run.recipe_path.exists()
        print("\nStopped by SIGTERM." + f" To go on: {again}" * saved)
        return
    except KeyboardInterrupt:
        print(f"\nTo go on from the last checkpoint: {again}")
        raise
    if result is None:
        print(f"Worker {devices.worker} of {devices.workers} is done.")
        return
    exported = (
        export.export_run(run, options.export) if options.export else None
    )
    print(_summary(chosen, run, result, exported))


def train(
    chosen: recipe.Recipe,
    run: RunFolder,
    verbose: int,
    devices: strategy.Devices | None = None,
    every_s: float = math.inf,
) -> dict | None:
    """Trains what is left of a run and tests it.

    Args:
        chosen: the recipe; that of the folder, if it exists.
        run: where everything is written.
        verbose: as for `keras.Model.fit`.
        devices: to train on; by default the process's one.
        every_s: seconds between checkpoints within an epoch.

    Returns:
        The result on the test split, also in the folder's result.json; None
        on a worker that is not the chief.

    Raises:
        Preempted: the process was asked to stop, and the run is saved.
    """
    devices = devices or strategy.Devices()
    devices.check(chosen)
    if devices.is_chief:
        run.check(chosen)
        if not run.recipe_path.exists():
            _try_out(chosen)
    devices.expect_same("their recipe", recipe_text.to_json(chosen))
    lock = run.opened(chosen) if devices.is_chief else contextlib.nullcontext()
    with lock:
        devices.barrier()  # the folder is there
        result = run.read_result()
        if result is not None:
            print(f"{run.path} is trained: nothing to do.")
            if devices.is_chief and not (run.path / report.REPORT).exists():
                report.write(run)  # a kill may have come before
            return result if devices.is_chief else None
        if devices.is_chief:
            run.record_versions(devices.replicas)
        stage = RunFolder(run.image_stage)
        if chosen.image_stage is not None and stage.read_result() is None:
            train(chosen.image_stage, stage, verbose, devices, every_s)
        history = fitting.fit(chosen, run, verbose, devices, every_s)
        if devices.is_chief:
            if verbose:
                print("Testing on the test split.", flush=True)
            result = _test(chosen, run, history)
        devices.barrier()  # the others would be missed until then
        return result


def _try_out(chosen: recipe.Recipe) -> None:
    """Makes every stage's network, so that errors come before training."""
    if chosen.image_stage is not None:
        _try_out(chosen.image_stage)
    dataset = dataset_of(chosen)
    dataset.check_trainable()
    if chosen.views is not None and chosen.sampling is not None:
        view_options.check(chosen.views, chosen.sampling, dataset.multi_label)
    model = run_model.build_model(chosen, dataset)
    if chosen.image_stage is None:
        run_model.start_from_weights(model, chosen)


def _test(chosen: recipe.Recipe, run: RunFolder, history: list[dict]) -> dict:
    """Tests the finished run and records what there is to report of it."""
    stage = None
    if chosen.image_stage is not None:
        stage = RunFolder(run.image_stage).read_result()
    seconds = sum(row["seconds"] for row in history)
    began = time.monotonic()
    scores = evaluate.evaluate_run(run, "test")
    result = {
        "recipe": chosen.name,
        "seed": chosen.seed,
        **dataclasses.asdict(scores),
        "train_seconds": round(seconds, 1),
        "test_seconds": round(time.monotonic() - began, 1),
        "image_stage": stage,
        "commits": sorted({v["commit"] or "" for v in run.read_versions()}),
        "versions": run.read_versions()[-1],
    }
    run.write_result(result)
    report.write(run)
    return result


def _catalogue() -> str:
    return (
        f"{catalogue.catalogue()}\n\nExample:\n  {EXAMPLE}\n\nAll options: "
        "python -m training.train --help"
    )


def _summary(
    chosen: recipe.Recipe, run: RunFolder, result: dict, exported
) -> str:
    """The table at the end: what came out, and what to do with it."""
    accuracy = table.percent(result["accuracy"])
    rows = [
        ("test accuracy", f"{accuracy} of {result['examples']} examples"),
        ("chance", table.percent(result["chance"])),
        ("run folder", run.path),
        ("exported", exported or "no (see export below)"),
    ]
    workdir = f"--workdir {run.path}"
    what = "--sample 0" if chosen.data is None else '"my video.mp4"'
    commands = []
    if exported:
        model = f"--model {exported.parent}"
        commands.append(("predict", _module("predict", model, what)))
        commands.append(("a page", _module("app", model)))
    if "_nl" in chosen.model.name:
        options = (what, "--out looks.png")
        commands.append(("visualize", _module("visualize", workdir, *options)))
    commands.append(("evaluate", _module("evaluate", workdir)))
    if exported:
        commands.append(("serve", _module("serve_config", model)))
    else:
        out = f"--out savedmodels/{run.path.resolve().name}"
        commands.append(("export", _module("export", workdir, out)))
    return (
        f"\n{chosen.name}\n{table.render(rows)}\n\nTry next\n"
        f"{table.render(commands)}"
    )


def _resume(run: RunFolder, options) -> str:
    also = [f"--export {options.export}"] if options.export else []
    also += [f"--devices {options.devices}"] if options.devices else []
    return _module("train", f"--workdir {run.path}", *also)


def _module(name: str, *options: str) -> str:
    """A command as it can be typed here, with or without an activated venv."""
    found = shutil.which("python")
    activated = found and os.path.abspath(found) == sys.executable
    python = "python" if activated else os.path.relpath(sys.executable)
    return " ".join([python, "-m", f"training.{name}", *options])


def _parse(arguments: Sequence[str] | None):
    parser = cli.parser(
        "training.train",
        "Trains a recipe. --workdir alone resumes a run that was stopped, and "
        "does nothing\nif it is done. Without arguments: lists the recipes.",
        EXAMPLE,
    )
    parser.add_argument("--recipe", metavar="NAME", help="what to train")
    parser.add_argument(
        "--workdir",
        metavar="DIR",
        help="run folder, made if needed; a path, or a URL (s3://bucket/run), "
        "where nothing keeps two processes apart (default: runs/NAME)",
    )
    parser.add_argument(
        "--export",
        metavar="DIR",
        help="when trained, write a SavedModel version into DIR, a path or a "
        "URL",
    )
    parser.add_argument(
        "--set",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        help="change a field, e.g. --set optimizer.base_lr=0.002 or --set "
        "optimizer.drops_at_steps=100,200; --print shows all; repeatable",
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="seed of the run and of its image stage",
    )
    parser.add_argument(
        "--devices",
        type=cli.count,
        metavar="N",
        help="GPUs of this machine to train on (default: all); without one, "
        "so many parts of the CPU, to try out what several devices would do",
    )
    parser.add_argument(
        "--checkpoint-minutes",
        type=cli.positive,
        default=15.0,
        metavar="M",
        help="minutes between checkpoints within an epoch (default: 15), on "
        "one machine; they change no result",
    )
    parser.add_argument(
        "--list", action="store_true", help="list the recipes and stop"
    )
    parser.add_argument(
        "--print",
        action="store_true",
        help="print the resolved recipe as JSON and stop",
    )
    parser.add_argument(
        "--verbose",
        type=int,
        choices=(0, 1, 2),
        help="0 silent, 1 progress bar, 2 a line an epoch (default: 1 on a "
        "terminal, else 2)",
    )
    return cli.parse(parser, arguments)


if __name__ == "__main__":
    sys.exit(cli.run(main))
