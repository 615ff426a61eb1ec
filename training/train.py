"""Trains a recipe into a run folder; the same command resumes it."""

import dataclasses
import importlib.util
import os
import shutil
import sys
from collections.abc import Sequence

import keras

from nonlocal_tf import models
from training import (
    callbacks,
    checkpoints,
    cli,
    evaluate,
    export,
    recipe,
    recipe_text,
    remote,
    run_model,
    table,
)
from training.data import dataset_of, pipeline
from training.errors import UserError
from training.recipes import RECIPES, get_recipe
from training.run_folder import RunFolder

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
    try:
        result = train(chosen, run, verbose)
    except KeyboardInterrupt:
        again = _resume(run, options.export)
        print(f"\nTo go on after the last whole epoch: {again}")
        raise
    exported = (
        export.export_run(run, options.export) if options.export else None
    )
    print(_summary(chosen, run, result, exported))


def train(chosen: recipe.Recipe, run: RunFolder, verbose: int) -> dict:
    """Trains what is left of a run and tests it.

    Args:
        chosen: the recipe; that of the folder, if it exists.
        run: where everything is written.
        verbose: as for `keras.Model.fit`.

    Returns:
        The result on the test split, also in the folder's result.json.
    """
    run.check(chosen)
    if not run.recipe_path.exists():
        _try_out(chosen)
    with run.opened(chosen):
        result = run.read_result()
        if result is not None:
            print(f"{run.path} is trained: nothing to do.")
            return result
        run.record_versions()
        stage = RunFolder(run.image_stage)
        if chosen.image_stage is not None and stage.read_result() is None:
            train(chosen.image_stage, stage, verbose)
        history = fit(chosen, run, verbose)
        return _test(chosen, run, history)


def fit(chosen: recipe.Recipe, run: RunFolder, verbose: int) -> list[dict]:
    """Runs the epochs that are left; returns the rows of all of them."""
    dataset = dataset_of(chosen)
    run.write_bad_videos(dataset.bad)
    run.check_data(dataset)
    checkpoint = checkpoints.latest(run)
    keras.utils.set_random_seed(chosen.seed)
    model = run_model.build_model(chosen, dataset)
    run_model.compile_model(model, chosen)
    history: list[dict] = []
    if checkpoint is not None:
        checkpoints.restore(model, checkpoint)
        history = checkpoint.history
        run.write_metrics(history)  # a kill may have come before its last row
        print(f"Resuming {run.path} after epoch {checkpoint.epoch}.")
    elif chosen.image_stage is not None:
        image_model, *_ = run_model.load_trained(RunFolder(run.image_stage))
        models.inflate(image_model, model)
    else:
        print(run_model.start_from_weights(model, chosen), end="")
    done = len(history)
    if done == chosen.epochs:
        return history
    print(
        f"Training {chosen.name} ({model.count_params():,} parameters) on "
        f"{chosen.dataset}: {chosen.steps} steps of {chosen.batch}."
    )
    batches = dataset.train_batches(
        batch=chosen.batch,
        seed=chosen.seed,
        start_step=done * chosen.epoch_steps,
        steps=chosen.steps,
    )
    model.fit(
        pipeline.feed(batches),
        initial_epoch=done,
        epochs=chosen.epochs,
        steps_per_epoch=chosen.epoch_steps,
        validation_data=pipeline.feed(dataset.eval_batches("validation")),
        callbacks=[
            callbacks.ListBadVideos(run, dataset),  # before what would save
            checkpoints.CheckpointEveryEpoch(run, history, chosen.epoch_steps),
            *_tensorboard(run),
        ],
        shuffle=False,  # the dataset decides the order
        verbose=verbose,
    )
    return history


def _try_out(chosen: recipe.Recipe) -> None:
    """Makes every stage's network, so that errors come before training."""
    if chosen.image_stage is not None:
        _try_out(chosen.image_stage)
    dataset = dataset_of(chosen)
    dataset.check_trainable()
    model = run_model.build_model(chosen, dataset)
    if chosen.image_stage is None:
        run_model.start_from_weights(model, chosen)


def _test(chosen: recipe.Recipe, run: RunFolder, history: list[dict]) -> dict:
    """Tests the finished run and records what there is to report of it."""
    stage = None
    if chosen.image_stage is not None:
        stage = RunFolder(run.image_stage).read_result()
    seconds = sum(row["seconds"] for row in history)
    result = {
        "recipe": chosen.name,
        "seed": chosen.seed,
        **dataclasses.asdict(evaluate.evaluate_run(run, "test")),
        "train_seconds": round(seconds, 1),
        "image_stage": stage,
        "commits": sorted({v["commit"] or "" for v in run.read_versions()}),
        "versions": run.read_versions()[-1],
    }
    run.write_result(result)
    return result


def _tensorboard(run: RunFolder) -> list[keras.callbacks.Callback]:
    """TensorBoard events, if the extra `tensorboard` is installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return []
    return [keras.callbacks.TensorBoard(str(run.path / "tensorboard"))]


def _catalogue() -> str:
    rows = [(name, build().description) for name, build in RECIPES.items()]
    return (
        "Recipes:\n"
        + table.render(rows)
        + f"\n\nExample:\n  {EXAMPLE}\n\nAll options: "
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
    commands = []
    if exported:
        model = f"--model {exported.parent}"
        what = "--sample 0" if chosen.data is None else '"my video.mp4"'
        commands.append(("predict", _module("predict", model, what)))
    if chosen.model.nonlocal_block is not None:
        options = ("--sample 0", "--out looks.png")
        commands.append(("visualize", _module("visualize", workdir, *options)))
    commands.append(("evaluate", _module("evaluate", workdir)))
    if exported:
        commands.append(("serve", export.serve_command(exported.parent)))
    else:
        out = f"--out savedmodels/{run.path.resolve().name}"
        commands.append(("export", _module("export", workdir, out)))
    return (
        f"\n{chosen.name}\n{table.render(rows)}\n\nTry next\n"
        f"{table.render(commands)}"
    )


def _resume(run: RunFolder, export_to: str | None) -> str:
    export_too = [f"--export {export_to}"] if export_to else []
    return _module("train", f"--workdir {run.path}", *export_too)


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
        help="change a field, e.g. --set optimizer.base_lr=0.002; repeatable",
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="seed of the run and of its image stage",
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
