"""Runs `fit` on what is left of a run, from its last checkpoint on."""

import importlib.util
import math
from collections.abc import Callable

import keras
import tensorflow as tf

from nonlocal_tf import models
from nonlocal_tf.models import frame_order

from ..data import Dataset, class_words, datasets, pipeline
from ..io import progress, tables
from ..io.user_error import UserError
from ..recipes.schema import BaseRecipe, Recipe
from ..runs import run_model
from ..runs.run_folder import RunFolder
from . import callbacks, checkpointing, schedules, show_training
from .distribution import Devices
from .preemption import Preempted, sigterm
from .train_step import Signals
from .trainer import Trainer

# Batches for statistics are drawn as those of another run would be.
STATISTICS_SEED = 0x5747


def fit(
    chosen: Recipe,
    run: RunFolder,
    verbose: int,
    devices: Devices,
    every_s: float = math.inf,
) -> list[dict]:
    """Runs the steps that are left.

    Args:
        chosen: the recipe.
        run: its folder, which all workers can read.
        verbose: as for `show_training.ShowTraining`.
        devices: to train on.
        every_s: seconds between checkpoints within an epoch.

    Returns:
        The rows of metrics.csv, those of earlier starts included.
    """
    dataset = _dataset_of(chosen, run)
    devices.expect_same("the videos they see", dataset.fingerprint() or "")
    if devices.is_chief:
        run.add_bad_videos(dataset.bad)
        run.check_data(dataset)
        run.keep_places(chosen)
    start = checkpointing.latest(run)
    devices.expect_same(
        "their last checkpoint", start.path.name if start else ""
    )
    if chosen.training.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(chosen.seed)
    trainer = _make_trainer(chosen, run, dataset, devices, start)
    history = list(start.history) if start else []
    if devices.is_chief:
        checkpointing.take_up(run, start, chosen)
    if len(history) == chosen.epochs:
        return history
    if devices.is_chief:
        _announce(chosen, trainer, dataset, devices)
        if dataset.bad:
            print(f"note: bad videos are listed in {run.bad_videos_path}")
    data = _Data(chosen, dataset, devices)
    precise = chosen.training.precise_bn_batches > 0
    tested = callbacks.TestAsTheyWillBe(
        data.for_statistics if precise else None
    )
    used = [
        callbacks.ListBadVideos(run, dataset, devices.worker),
        tested,
        callbacks.Record(
            run if devices.is_chief else None,
            history,
            chosen,
            start,
            tested,
            # Workers would have to agree on when.
            every_s if devices.workers == 1 else math.inf,
            devices.any_of,
            alone=devices.workers == 1,
        ),
        *(_tensorboard(run) if devices.is_chief else []),
        show_training.ShowTraining(chosen.steps, chosen.epoch_steps, verbose),
    ]
    fit_rest(
        lambda *epochs: _fit(trainer, data, used, *epochs),
        history,
        chosen,
        start,
    )
    if devices.any_of(sigterm.requested):
        raise Preempted
    return history


def _dataset_of(chosen: Recipe, run: RunFolder) -> Dataset:
    try:
        return datasets.load(chosen.dataset, chosen.data, chosen.sampling)
    except UserError as error:
        if chosen.data is None or checkpointing.latest(run) is None:
            raise
        raise UserError(
            f"{error} If the data of this run has moved, name the new place: "
            "--set data.root=DIR"
        ) from error


def fit_rest(
    fit_epochs: Callable[[int, int, int, int], None],
    history: list[dict],
    recipe: BaseRecipe,
    start: checkpointing.Checkpoint | None,
) -> None:
    """Fits the epochs that are left, those of a stopped one first.

    Args:
        fit_epochs: from an epoch to before another, from a step of the run to
            before another; these are as many in each of the epochs.
        history: of the epochs that are done; grows by itself.
        recipe: of the run.
        start: the checkpoint that is gone on from.
    """

    def fit_until(epoch: int, step: int = 0) -> None:
        first = len(history)
        if first < epoch:
            first_step = recipe.steps_after(first) + step
            fit_epochs(first, epoch, first_step, recipe.steps_after(epoch))

    try:
        with sigterm.deferred():
            # Keras takes as many steps in all epochs of a `fit`. What is left
            # of a stopped epoch has fewer, and the last one may have.
            if start is not None and start.step:
                fit_until(len(history) + 1, start.step)
            fit_until(recipe.steps // recipe.epoch_steps)
            fit_until(recipe.epochs)
    finally:
        progress.erase()  # nothing is to be said over what was shown


def _announce(
    chosen: Recipe, trainer: Trainer, dataset: Dataset, devices: Devices
) -> None:
    where = "" if devices.replicas == 1 else f" on {devices.replicas} devices"
    print(
        f"Training {chosen.name} ({trainer.count_params():,} parameters) on "
        f"{chosen.dataset}: {tables.number_of(chosen.steps, 'step')} of "
        f"{chosen.batch}{where}."
    )
    print(dataset.overview(), end="")
    notes = [*dataset.notes(), schedules.scaling_note(chosen)]
    if chosen.sampling is not None:
        notes += _clip_notes(chosen, trainer, dataset)
    for note in filter(None, notes):
        print(f"note: {note}")


def _clip_notes(
    chosen: Recipe, model: keras.Model, dataset: Dataset
) -> list[str]:
    """What a network does not see of clips of videos."""
    notes = []
    if chosen.sampling is not None and chosen.sampling.flip:
        notes.append(class_words.flip_note(dataset.classes))
    if not frame_order.depends_on_frame_order(model):
        notes.append(
            f"{chosen.model.name} does not see the order of frames: classes "
            "that differ by motion alone are one to it. Networks called i3d_* "
            "see motion"
        )
    return notes


def _tensorboard(run: RunFolder) -> list[keras.callbacks.Callback]:
    """TensorBoard events, if the extra `tensorboard` is installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return []
    return [keras.callbacks.TensorBoard(str(run.path / "tensorboard"))]


def _make_trainer(chosen, run, dataset, devices, start) -> Trainer:
    """The network in the state in which training begins or goes on."""
    image_model, origins = None, None
    if start is None and chosen.image_stage is not None:
        stage = RunFolder(run.image_stage)
        image_model, *_ = run_model.load_trained(stage)
        origins = stage.read_origins()
    # Not under the scope: they are this process's own.
    signals = Signals(is_timed=not chosen.training.deterministic)
    with devices.strategy.scope():
        model = run_model.build_model(chosen, dataset)
        if image_model is not None:
            models.inflate(image_model, model)
        elif start is None:
            filled, origins = run_model.start_from_weights(model, chosen)
            print(filled if devices.is_chief else "", end="")
        trainer = Trainer(model, chosen, signals, dataset.multi_label)
        run_model.compile_model(trainer, chosen, dataset)
        trainer.optimizer.build(trainer.trainable_variables)
    if origins is not None and devices.is_chief:
        run.write_origins(origins)
    if start is not None:
        checkpointing.restore(trainer, start)
    average: list = []
    if start is not None:
        trained = trainer.trainable_variables
        average = checkpointing.read_average(start, trained)
    if trainer.average is not None:
        trainer.average.set(average or trainer.trainable_variables)
    return trainer


def _fit(trainer, data, used, epoch, epochs, first_step, last_step) -> None:
    """Epochs from `epoch` to before `epochs`, of some steps of the run."""
    trainer.fit(
        data.for_training(first_step, last_step),
        initial_epoch=epoch,
        epochs=epochs,
        steps_per_epoch=(last_step - first_step) // (epochs - epoch),
        validation_data=data.for_validation(),
        callbacks=used,
        shuffle=False,  # the dataset decides the order
        verbose=0,  # `ShowTraining` says it
    )


class _Data:
    """What each of a run's devices is fed."""

    def __init__(self, chosen: Recipe, dataset: Dataset, devices: Devices):
        self._recipe = chosen
        self._dataset = dataset
        self._devices = devices

    def for_training(self, first_step: int, last_step: int):
        """Batches from a step of the run to before another."""
        return self._batches(self._recipe.seed, first_step, last_step)

    def for_statistics(self, epoch: int):
        """Batches for precise batch normalisation after an epoch."""
        count = self._recipe.training.precise_bn_batches
        seed = self._recipe.seed ^ STATISTICS_SEED
        batches = self._batches(seed, epoch * count, (epoch + 1) * count)
        if self._devices.workers > 1:
            return batches
        return self._devices.strategy.experimental_distribute_dataset(batches)

    def for_validation(self):
        """The whole validation split, on each worker."""
        batches = pipeline.feed(self._dataset.eval_batches("validation"))
        if self._devices.replicas == 1:
            return batches
        own = self._devices.replicas // self._devices.workers
        return self._to_devices(pipeline.padded(batches, own))

    def _batches(self, seed, first_step, last_step):
        batches = self._dataset.train_batches(
            batch=self._recipe.batch,
            seed=seed,
            start_step=first_step,
            steps=last_step,
            worker=self._devices.worker,
            workers=self._devices.workers,
        )
        return self._to_devices(pipeline.feed(batches))

    def _to_devices(self, batches):
        """What each of a worker's devices takes, if `fit` is not to say."""
        devices = self._devices
        if devices.workers == 1:
            return batches
        own = devices.replicas // devices.workers
        parts = pipeline.in_parts(batches, own)
        return devices.strategy.distribute_datasets_from_function(
            lambda context: parts
        )
