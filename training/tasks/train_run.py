"""Training of a recipe in a run folder, for every task."""

import contextlib
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from .. import tasks
from ..io import atomic_files, finite, tables
from ..io.user_error import UserError
from ..loop import (
    best_epoch,
    callbacks,
    checkpointing,
    resume,
    run_callbacks,
    schedules,
    tensorboard_events,
)
from ..loop.distribution import Devices
from ..loop.preemption import Preempted, sigterm
from ..loop.train_step import Signals
from ..recipes import overrides
from ..recipes.schema import BaseRecipe
from ..runs import run_report
from ..runs.run_folder import RunFolder
from .base import Task

# From the path of a run folder to a callback.
CallbackFactory = Callable[[str], keras.callbacks.Callback]


def train(
    recipe: Any,
    run: RunFolder,
    verbose: int,
    devices: Devices | None = None,
    every_s: float = math.inf,
    callback_factories: Sequence[CallbackFactory] = (),
) -> dict | None:
    """Train a run from its latest checkpoint, and test it.

    Args:
        recipe: of a new run, or that of the folder.
        run: folder of the run.
        verbose: as for `show_training.ShowTraining`.
        devices: to train on. Default: the process's only device.
        every_s: seconds between checkpoints within an epoch.
        callback_factories: functions from the path of a run folder to a
            callback, for the chief; called at each start of training.

    Returns:
        The scores, also in the folder's result.json; None on a worker that is
        not the chief.

    Raises:
        UserError: recipe, data or folder are wrong.
        Preempted: the process was asked to stop, and the run is saved.
    """
    task = tasks.of_recipe(recipe)
    devices = devices or Devices()
    _check_devices(task, recipe, devices)
    recipe, note = task.resolve(recipe, run)
    if note and devices.is_chief and verbose:
        print(note)
    data = None
    if devices.is_chief:
        run.check(recipe)
        atomic_files.check_writable_folder(run.path)
        if not run.recipe_path.exists():
            data = task.check(recipe)
    devices.expect_same("their recipe", overrides.to_json(recipe))
    lock = run.opened(recipe) if devices.is_chief else contextlib.nullcontext()
    with lock:
        devices.barrier()  # the folder exists
        result = run.read_result()
        if result is not None:
            print(f"{run.path} is trained: nothing to do.")
            checkpointing.latest(run.checkpoints)  # raises if it diverged
            if devices.is_chief and not (run.path / run_report.REPORT).exists():
                run_report.write(run)  # a kill may have come before
            return result if devices.is_chief else None
        if devices.is_chief:
            run.record_versions(devices.replicas)
        stage, stage_run = task.first_stage(recipe), RunFolder(run.image_stage)
        if stage is not None and stage_run.read_result() is None:
            if verbose and devices.is_chief:
                print(
                    f"First {stage.name}: the network of images that "
                    f"{recipe.name} is inflated from."
                )
            train(
                stage, stage_run, verbose, devices, every_s, callback_factories
            )
        own = []
        if devices.is_chief:
            own = [make(str(run.path)) for make in callback_factories]
        history = fit(task, recipe, run, data, verbose, devices, every_s, own)
        if devices.is_chief:
            result = _finish(task, recipe, run, history, verbose)
        devices.barrier()  # the others would be missed until then
        return result


def _check_devices(task: Task, recipe: BaseRecipe, devices: Devices) -> None:
    config = recipe.training
    jit_compile = getattr(config, "jit_compile", False)
    devices.check(recipe.batch, config.micro_batches, jit_compile)
    stage = task.first_stage(recipe)
    if stage is not None:
        _check_devices(task, stage, devices)


def _finish(
    task: Task,
    recipe: BaseRecipe,
    run: RunFolder,
    history: list[dict],
    verbose: int,
) -> dict:
    """Test the finished run, and write result.json and the report."""
    if verbose:
        print(_trained(recipe, history), flush=True)
    stage = None
    if task.first_stage(recipe) is not None:
        stage = RunFolder(run.image_stage).read_result()
    scores = task.test(recipe, run, history)
    result = {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "epoch": best_epoch.kept_epoch(recipe.training, history),
        "train_seconds": round(sum(row["seconds"] for row in history), 1),
        **scores,
        "image_stage": stage,
        "commits": sorted({v.get("commit") or "" for v in run.read_versions()}),
        "versions": run.read_versions()[-1],
    }
    run.write_result(result)
    run_report.write(run)
    return result


def _trained(recipe: BaseRecipe, history: list[dict]) -> str:
    """Say which weights are tested, and whether training ended early."""
    settings, epochs = recipe.training, len(history)
    lines = []
    if epochs < recipe.epochs:
        lines.append(
            f"Early stopping after {epochs} of {recipe.epochs} epochs: "
            f"{best_epoch.metric_of(settings, history[0])} did not improve in "
            f"{settings.patience}."
        )
    network = "the trained network"
    if settings.keep == best_epoch.BEST:
        number = best_epoch.best_epoch(settings, history)
        metric = best_epoch.metric_of(settings, history[0])
        value = history[number - 1][metric]
        network = f"epoch {number}, the best: {metric} {value:.4g}"
    lines.append(f"Computing the scores of {network}.")
    return "\n".join(lines)


def fit(
    task: Task,
    recipe: BaseRecipe,
    run: RunFolder,
    data: Any,
    verbose: int,
    devices: Devices,
    every_s: float = math.inf,
    own_callbacks: Sequence[keras.callbacks.Callback] = (),
) -> list[dict]:
    """Train the remaining steps of a run.

    Args:
        task: of the recipe.
        recipe: of the run.
        run: its folder, which all workers can read.
        data: of the recipe, or None to open it.
        verbose: as for `show_training.ShowTraining`.
        devices: to train on.
        every_s: seconds between checkpoints within an epoch.
        own_callbacks: further callbacks, which come last.

    Returns:
        The rows of metrics.csv, those of earlier starts included.

    Raises:
        Preempted: the process was asked to stop, and the run is saved.
    """
    if data is None:
        data = _open_data(task, recipe, run)
    devices.expect_same("the data they train on", data.fingerprint() or "")
    if devices.is_chief:
        run.add_bad_inputs(data.bad, task.inputs)
        run.check_data(data)
        run.keep_data_paths(recipe)
        task.begin_run(run, data)
    start = checkpointing.latest(run.checkpoints)
    devices.expect_same(
        "their last checkpoint", start.path.name if start else ""
    )
    if recipe.training.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(recipe.seed)
    trainer = restored_trainer(task, recipe, run, data, devices, start)
    history = list(start.history) if start else []
    if devices.is_chief and start is not None:
        _announce_resumption(run, start, recipe)
    if len(history) == recipe.epochs or best_epoch.is_stopped(
        recipe.training, history
    ):
        return history
    if devices.is_chief:
        _announce(task, recipe, run, trainer, data, devices)
    batches = task.batches(recipe, data, devices)
    validation = task.validation(recipe, batches, devices)
    alone = devices.workers == 1
    saving = run_callbacks.SaveCheckpoints(
        run.checkpoints if devices.is_chief else None,
        history,
        recipe.plan,
        start,
        run.write_metrics,
        validation,
        every_s if alone else math.inf,  # workers would have to agree on when
        devices.any_of,
        alone,
        functools.partial(
            finite.remedy, recipe.optimizer.base_lr, recipe.training.precision
        ),
        recipe.training,
    )
    bad_inputs = callbacks.ListBadInputs(
        data,
        lambda bad: run.add_bad_inputs(bad, task.inputs, devices.worker),
    )
    directory = run.path / "tensorboard"
    training_callbacks = [
        bad_inputs,
        validation,
        *task.validation_after_epoch(recipe, data, validation, saving, devices),
        saving,
        *(tensorboard_events.callbacks(directory) if devices.is_chief else []),
        task.show_training(recipe, data, verbose),
        *own_callbacks,
    ]
    try:
        resume.fit(
            trainer,
            batches,
            recipe.plan,
            history,
            start,
            training_callbacks,
            lambda: saving.is_stopped,
        )
    except (tf.errors.OpError, UserError):
        bad_inputs.update()  # raises if they are too many, which says more
        raise
    if devices.any_of(sigterm.requested):
        raise Preempted
    return history


def _announce_resumption(
    run: RunFolder, start: checkpointing.Checkpoint, recipe: BaseRecipe
) -> None:
    """Rewrite metrics.csv from a checkpoint and say where training resumes."""
    if start.history:  # a kill may have come before its last row
        run.write_metrics(start.history)
    steps = tables.number_of(recipe.steps, "step")
    print(f"Resuming {run.path} after {start.steps(recipe.plan)} of {steps}.")


def _open_data(task: Task, recipe: Any, run: RunFolder) -> Any:
    try:
        return task.open_data(recipe)
    except UserError as error:
        if recipe.data is None or checkpointing.latest(run.checkpoints) is None:
            raise
        field = overrides.schema_of(recipe).data_paths[0]
        raise UserError(
            f"{error} If the data of this run has moved, name the new place: "
            f"--set data.{field}=PATH"
        ) from error


def restored_trainer(
    task: Task,
    recipe: BaseRecipe,
    run: RunFolder,
    data: Any,
    devices: Devices,
    start: checkpointing.Checkpoint | None,
) -> Any:
    """Build the trainer with the state of a checkpoint, or of a new run."""
    # Outside of the strategy's scope: they are this process's own.
    signals = Signals(is_timed=not recipe.training.deterministic)
    model, report, provenance = task.build(
        recipe, data, run, devices.strategy, is_new=start is None
    )
    with devices.strategy.scope():
        trainer: Any = task.trainer(model, recipe, data, signals)
        trainer.optimizer.build(trainer.trainable_variables)
    if devices.is_chief:
        print(report, end="")
        if provenance is not None and start is None:
            run.write_provenance(provenance)
    average: list = []
    if start is not None:
        checkpointing.restore(trainer, start)
        trained = trainer.trainable_variables
        average = checkpointing.read_average(start, trained)
    if trainer.average is not None:
        trainer.average.set(average or trainer.trainable_variables)
    return trainer


def _announce(
    task: Task,
    recipe: BaseRecipe,
    run: RunFolder,
    trainer: keras.Model,
    data: Any,
    devices: Devices,
) -> None:
    """Print the size of the run, and notes."""
    where = "" if devices.replicas == 1 else f" on {devices.replicas} devices"
    trained = sum(math.prod(v.shape) for v in trainer.trainable_variables)
    print(
        f"Training {recipe.name} ({trainer.count_params():,} parameters, of "
        f"which {trained:,} are trained) on "
        f"{task.data_name(recipe)}: {tables.number_of(recipe.steps, 'step')} "
        f"of {recipe.batch}{where}."
    )
    if task.metrics_shown is not None:
        print(f"All metrics of each epoch: {run.metrics_path}")
    print(data.overview(), end="")
    notes = [
        schedules.scaling_note(recipe.optimizer, recipe.batch),
        *task.notes(recipe, trainer, data),
    ]
    if data.bad:
        path = run.bad_inputs_path(task.inputs)
        notes.append(f"bad {task.inputs} are listed in {path}")
    for note in filter(None, notes):
        print(f"note: {note}")
