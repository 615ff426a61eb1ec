"""Train a recipe into a run folder, or resume a run."""

import argparse
import contextlib
import dataclasses
import math
import sys
import time
from collections.abc import Sequence

from . import evaluate, export, report
from .data import datasets
from .detection import export as export_detector
from .detection import train as train_detector
from .detection import trained
from .evaluation import video_scores, view_options
from .io import atomic_files, cli, quoting, tables
from .loop import checkpointing, distribution, fitting
from .loop.preemption import Preempted, sigterm
from .recipes import catalogue, overrides, schema
from .recipes.detection_schema import DetectionRecipe
from .runs import frame_stride, overfitting, run_model, train_options
from .runs.run_folder import RunFolder

EXAMPLE = "nonlocal-tf train --recipe digits_nl --workdir runs/digits_nl"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `nonlocal-tf train`."""
    options, given = cli.parse(parser(), arguments)
    if options.list or not given:
        print(_catalogue())
        return
    chosen = train_options.chosen(options)
    if options.seed is not None:
        chosen = schema.with_seed(chosen, options.seed)
    chosen = overrides.override(chosen, options.set)
    if options.print:
        print(overrides.to_json(chosen))
        return
    run = RunFolder(options.workdir or f"runs/{chosen.name}")
    verbose = train_options.verbosity(options)
    out = train_options.export_place(options, run)
    is_detector = isinstance(chosen, DetectionRecipe)
    if out is not None:  # errors come now, not after training
        if is_detector:
            export_detector.check_out(out)
        else:
            export.check_out(out, chosen)
    devices = distribution.choose(options.devices)
    if not devices.is_chief:
        verbose = 0
    every_s = 60 * options.checkpoint_minutes
    if verbose:
        name = "the annotations" if is_detector else chosen.dataset
        print(f"Reading {name} and building the network.")
    again = train_options.resume(run, options)
    train_task = train_detector.train if is_detector else train
    try:
        with sigterm.handled():
            result = train_task(chosen, run, verbose, devices, every_s)
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
    exported = None
    if is_detector:
        if out is not None:
            exported = export_detector.export(trained.of_run(run.path), out)
        print(train_detector.summary(chosen, run, result, exported))
        return
    if out is not None:
        exported = export.export_run(run, out)
    print(_summary(chosen, run, result, exported))


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    made = cli.parser(
        "train",
        "Trains a recipe. --workdir alone resumes a run that was stopped, and "
        "does nothing\nif it is done. Without arguments: lists the recipes.",
        EXAMPLE,
    )
    train_options.add(made)
    return made


def train(
    chosen: schema.Recipe,
    run: RunFolder,
    verbose: int,
    devices: distribution.Devices | None = None,
    every_s: float = math.inf,
) -> dict | None:
    """Trains what is left of a run and tests it.

    Args:
        chosen: the recipe; that of the folder, if it exists.
        run: where everything is written.
        verbose: as for `show_training.ShowTraining`.
        devices: to train on; by default the process's one.
        every_s: seconds between checkpoints within an epoch.

    Returns:
        The result on the test split, also in the folder's result.json; None
        on a worker that is not the chief.

    Raises:
        Preempted: the process was asked to stop, and the run is saved.
    """
    devices = devices or distribution.Devices()
    devices.check(chosen)
    chosen, note = frame_stride.resolve(chosen, run)
    if note and devices.is_chief and verbose:
        print(note)
    if devices.is_chief:
        run.check(chosen)
        atomic_files.check_writable_folder(run.path)
        if not run.recipe_path.exists():
            _try_out(chosen)
    devices.expect_same("their recipe", overrides.to_json(chosen))
    lock = run.opened(chosen) if devices.is_chief else contextlib.nullcontext()
    with lock:
        devices.barrier()  # the folder is there
        result = run.read_result()
        if result is not None:
            print(f"{run.path} is trained: nothing to do.")
            checkpointing.latest(run)  # says whether it diverged
            if devices.is_chief and not (run.path / report.REPORT).exists():
                report.write(run)  # a kill may have come before
            return result if devices.is_chief else None
        if devices.is_chief:
            run.record_versions(devices.replicas)
        stage = RunFolder(run.image_stage)
        if chosen.image_stage is not None and stage.read_result() is None:
            if verbose and devices.is_chief:
                print(
                    f"First {chosen.image_stage.name}: the network of images "
                    f"that {chosen.name} is inflated from."
                )
            train(chosen.image_stage, stage, verbose, devices, every_s)
        history = fitting.fit(chosen, run, verbose, devices, every_s)
        if devices.is_chief:
            if verbose:
                print("Testing on the test split.", flush=True)
            result = _test(chosen, run, history)
        devices.barrier()  # the others would be missed until then
        return result


def _try_out(chosen: schema.Recipe) -> None:
    """Makes every stage's network, so that errors come before training."""
    if chosen.image_stage is not None:
        _try_out(chosen.image_stage)
    dataset = datasets.load(chosen.dataset, chosen.data, chosen.sampling)
    dataset.check_trainable()
    if chosen.views is not None and chosen.sampling is not None:
        view_options.check(chosen.views, chosen.sampling, dataset.multi_label)
    model = run_model.build_model(chosen, dataset)
    if chosen.image_stage is None:
        run_model.start_from_weights(model, chosen)


def _test(chosen: schema.Recipe, run: RunFolder, history: list[dict]) -> dict:
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
        "commits": sorted({v.get("commit") or "" for v in run.read_versions()}),
        "versions": run.read_versions()[-1],
    }
    run.write_result(result)
    report.write(run)
    return result


def _catalogue() -> str:
    return (
        f"{catalogue.catalogue()}\n\nExample:\n  {EXAMPLE}\n\nAll options: "
        "nonlocal-tf train --help"
    )


def _summary(
    chosen: schema.Recipe, run: RunFolder, result: dict, exported
) -> str:
    """The table at the end: what came out, and what to do with it."""
    accuracy = tables.percent(result["accuracy"])
    precision = result.get("mean_average_precision")
    name = "accuracy" if precision is None else "mean average precision"
    rows = [
        (
            f"test {name}",
            f"{accuracy} of {result.get('examples', '?')} examples",
        ),
        *video_scores.baseline_rows(result),
        ("run folder", run.path),
        ("exported", exported or "no (see export below)"),
    ]
    rising = overfitting.rising_loss(report.read_metrics(run))
    if rising:
        rows.insert(2, ("validation loss", rising))
    workdir = f"--workdir {quoting.shell(run.path)}"
    what = "--sample 0" if chosen.data is None else '"my video.mp4"'
    commands: list[tuple[str, ...]] = []
    if exported:
        model = f"--model {quoting.shell(exported.parent)}"
        commands.append(("predict", "predict", model, what))
        commands.append(("a page", "app", model))
    if "_nl" in chosen.model.name:
        looks = (workdir, what, "--out looks.png")
        commands.append(("visualize", "visualize", *looks))
    commands.append(("evaluate", "evaluate", workdir))
    if exported:
        commands.append(("serve", "serve_config", model))
    else:
        name = quoting.shell(f"savedmodels/{run.path.resolve().name}")
        commands.append(("export", "export", workdir, f"--out {name}"))
    typed = [(title, train_options.command(*rest)) for title, *rest in commands]
    return (
        f"\n{chosen.name}\n{tables.render(rows)}\n\nTry next\n"
        f"{tables.render(typed)}"
    )


if __name__ == "__main__":
    sys.exit(cli.run(main))
