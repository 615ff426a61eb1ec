"""Options of the train command."""

import argparse
import inspect
import os
import pathlib
import shutil
import sys
from collections.abc import Callable
from typing import Any

import keras

from ..io import cli, outputs, paths, plugins, quoting
from ..io.paths import Path
from ..io.user_error import UserError
from ..recipes import recipe_source
from .run_folder import RunFolder


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options of `train` to a parser."""
    parser.add_argument(
        "--recipe",
        metavar="NAME",
        help="what to train: a name of --list, a file recipe.json as in run "
        "folders, or MODULE:FUNCTION, a function that returns a recipe",
    )
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
        "optimizer.drops_at_steps=100,200, spelt as in JSON or Python; "
        "--print shows all; repeatable",
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="seed of the run and of its image stage",
    )
    parser.add_argument(
        "--folds",
        type=cli.count,
        metavar="K",
        help="cross-validation: train and test on each of K folds of class "
        "folders, in fold0 and so on of --workdir, and print mean and spread",
    )
    parser.add_argument(
        "--devices",
        type=cli.count,
        metavar="N",
        help="GPUs of this machine to train on (default: all); without one, "
        "so many parts of the CPU, to try out what several devices would do",
    )
    parser.add_argument(
        "--accept-license",
        action="store_true",
        help="accept the license of published weights that forbids commercial "
        "use (nonlocal-tf models --weights lists them)",
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
        "--callback",
        metavar="MODULE:FACTORY",
        action="append",
        default=[],
        help="a function of your own from the path of the run folder to a "
        "Keras callback, such as "
        "nonlocal_tf.training.loop.experiment_trackers:mlflow; repeatable",
    )
    parser.add_argument(
        "--list", action="store_true", help="list the recipes and stop"
    )
    parser.add_argument(
        "--plan",
        action="store_true",
        help="train for some steps, print parameters, memory and hours of the "
        "whole training on this machine, a batch and a learning rate to try, "
        "and stop",
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
        help="0 silent, 1 progress bar, 2 a line every 15 seconds and one an "
        "epoch (default: 1 on a terminal, else 2)",
    )


def recipe_of(options: argparse.Namespace) -> Any:
    """Return the recipe of --recipe, or of the run in --workdir.

    Raises:
        UserError: there is none.
    """
    if options.recipe is not None:
        return recipe_source.load(options.recipe)
    if options.workdir and RunFolder(options.workdir).recipe_path.exists():
        return RunFolder(options.workdir).read_recipe()
    if options.workdir:
        raise UserError(
            f"There is no run in {options.workdir}. Give --recipe NAME too "
            "(see --list) to start one."
        )
    raise UserError(
        "Give --recipe NAME (see --list), or the --workdir of a run to resume."
    )


def callback_factories(
    options: argparse.Namespace,
) -> list[Callable[[str], keras.callbacks.Callback]]:
    """Return the functions of --callback, from a run folder to a callback.

    Raises:
        UserError: there is no such function, or it returns something else.
    """

    def checked(name: str) -> Callable[[str], keras.callbacks.Callback]:
        factory = plugins.load_attribute(name)
        try:
            inspect.signature(factory).bind("run")
        except TypeError as error:
            raise UserError(
                f"Expected --callback {name} to be a function of the path of "
                f"the run folder. Calling it fails: {error}"
            ) from error

        def make(run_folder: str) -> keras.callbacks.Callback:
            callback = factory(run_folder)
            if isinstance(callback, keras.callbacks.Callback):
                return callback
            raise UserError(
                f"Expected --callback {name} to be a function from the path of "
                "the run folder to a keras.callbacks.Callback. It returned: "
                f"{type(callback).__name__}"
            )

        return make

    return [checked(name) for name in options.callback]


def export_place(options: argparse.Namespace, run: RunFolder) -> Path | None:
    """Return the directory that a run is exported to at its end, if any.

    Raises:
        UserError: it is the run folder itself.
    """
    if not options.export:
        return None
    if options.folds is not None:
        raise UserError(
            "Expected --export or --folds, which trains a network for each "
            "fold: train one on all videos to export it. Received: both"
        )
    if outputs.is_same(options.export, run.path):
        raise UserError(
            f"--export {options.export} is the --workdir, which holds the run. "
            "Give another directory for its SavedModel."
        )
    return paths.as_path(options.export)


def verbosity(options: argparse.Namespace) -> int:
    """Return the verbosity of `fit`."""
    if options.verbose is not None:
        return options.verbose
    return 1 if sys.stdout.isatty() else 2


def resume(run: RunFolder, options: argparse.Namespace) -> str:
    """Return the command that resumes a run."""
    also = []
    if options.folds is not None:  # none of the runs has all folds
        also += [f"--recipe {quoting.shell(options.recipe)}"]
        also += [f"--set {quoting.shell(setting)}" for setting in options.set]
        also += [f"--seed {options.seed}"] * (options.seed is not None)
        also += [f"--folds {options.folds}"]
    if options.export:
        also.append(f"--export {quoting.shell(options.export)}")
    for option, names in (
        ("--plugin", options.plugin),
        ("--callback", options.callback),
    ):
        also += [f"{option} {quoting.shell(name)}" for name in names]
    also += [f"--devices {options.devices}"] if options.devices else []
    return command("train", f"--workdir {quoting.shell(run.path)}", *also)


def command(name: str, *options: str) -> str:
    """Return a command as it can be typed here, in any state of the shell."""
    script = pathlib.Path(sys.executable).with_name("nonlocal-tf")
    if "." in name:  # a module that the console command does not list
        words = [_python(), "-m", f"training.{name}"]
    elif shutil.which("nonlocal-tf") == str(script):
        words = ["nonlocal-tf", name]
    elif script.exists():
        words = [quoting.shell(os.path.relpath(script)), name]
    else:
        words = [_python(), "-m", f"training.{name}"]
    return " ".join([*words, *options])


def _python() -> str:
    on_path = shutil.which("python")
    if on_path and os.path.abspath(on_path) == sys.executable:
        return "python"
    return quoting.shell(os.path.relpath(sys.executable))
