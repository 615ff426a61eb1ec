"""Trains what is left of a run of a detector, from its last checkpoint on."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Sequence

import keras
import tensorflow as tf

from nonlocal_tf import detection
from nonlocal_tf.checkpoints.errors import MismatchError
from nonlocal_tf.detection import MaskRCNN

from ..coco import annotations, batches, coco_scores, image_rows
from ..coco.annotation_fields import InvalidEntry
from ..coco.annotations import Annotations, Category, Picture
from ..coco.coco_evaluation import CocoEvaluation
from ..data import BadVideo, scan
from ..data.data_files import DataFile
from ..data.datasets import DatasetInfo
from ..io import atomic_files, json_text, progress
from ..io.user_error import UserError
from ..loop import (
    callbacks,
    checkpointing,
    finite,
    optimizers,
    schedules,
    show_training,
)
from ..loop.detector_trainer import DetectorTrainer, freeze
from ..loop.distribution import Devices
from ..loop.fitting import fit_rest
from ..loop.preemption import Preempted, sigterm
from ..loop.train_step import Signals
from ..recipes.detection_schema import DetectionRecipe
from ..runs import weight_errors
from ..runs.run_folder import RunFolder

CATEGORIES = "categories.json"
BAD_PICTURES = "bad_pictures.csv"
MAX_BAD_SHARE = 0.05
# What is shown of an epoch; metrics.csv has all.
SHOWN = ("loss", "val_box_AP", "val_mask_AP", "val_keypoint_AP")
# As in Detectron.
BIAS_RATE = 2.0


@dataclasses.dataclass(frozen=True)
class Data:
    """What a run is trained and tested on."""

    train: Annotations
    validation: Annotations | None
    folder: str = ""  # of the images to train on

    @property
    def info(self) -> DatasetInfo:
        names = tuple(one.name for one in self.train.categories)
        return DatasetInfo(names, ())

    @property
    def bad(self) -> Sequence[BadVideo]:
        return ()

    def fingerprint(self) -> str:
        return atomic_files.sha256(self.train.path)

    def training_files(self) -> list[DataFile]:
        return image_rows.rows(self.train, self.folder)

    def held_out(self) -> dict[str, list[DataFile]]:
        return {}


def fit(
    chosen: DetectionRecipe,
    run: RunFolder,
    data: Data,
    verbose: int,
    devices: Devices,
    every_s: float = math.inf,
) -> list[dict]:
    """Runs the steps that are left.

    Args:
        chosen: the recipe.
        run: its folder.
        data: checked.
        verbose: as for `show_training.ShowTraining`.
        devices: to train on.
        every_s: seconds between checkpoints within an epoch.

    Returns:
        The rows of metrics.csv, those of earlier starts included.

    Raises:
        Preempted: the process was asked to stop, and the run is saved.
    """
    run.check_data(data)
    run.keep_places(chosen)
    write_categories(run, data.train)
    start = checkpointing.latest(run)
    if chosen.training.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(chosen.seed)
    trainer = make_trainer(chosen, data.train.categories, devices, start)
    history = checkpointing.take_up(run, start, chosen)
    if len(history) == chosen.epochs:
        return history
    _announce(chosen, run, trainer, data, devices)
    record = callbacks.Record(run, history, chosen, start, every_s=every_s)
    tested = []
    if data.validation is not None:
        tested.append(
            _Test(
                record,
                data.validation,
                categories=data.train.categories,
                short_side_px=chosen.images.eval_short_side_px,
                long_side_px=chosen.images.long_side_px,
                normalization=chosen.images.normalization,
            )
        )
    bad = BadPictures(run, len(data.train.pictures))
    used = [
        bad,
        *tested,
        record,
        show_training.ShowTraining(
            chosen.steps,
            chosen.epoch_steps,
            verbose,
            data.validation is not None,
            SHOWN,
            _text_of,
        ),
    ]

    def fit_epochs(
        epoch: int, until: int, first_step: int, last_step: int
    ) -> None:
        trainer.fit(
            batches.batches(
                data.train,
                chosen.batch_config,
                chosen.seed,
                first_step,
                last_step,
                on_bad=bad.add,
            ),
            initial_epoch=epoch,
            epochs=until,
            steps_per_epoch=(last_step - first_step) // (until - epoch),
            callbacks=used,
            shuffle=False,  # the batches decide the order
            verbose=0,  # `ShowTraining` says it
        )

    try:
        fit_rest(fit_epochs, history, chosen, start)
    except (tf.errors.OpError, UserError):
        bad.check()  # none is good: it says more
        raise
    if sigterm.requested:
        raise Preempted
    return history


def _text_of(name: str, value: float) -> str:
    """A figure of an epoch for the screen."""
    return f"{value:.4g}" if name == "loss" else coco_scores.shown(value)


class BadPictures(keras.callbacks.Callback):
    """Lists pictures that turn out bad, and stops if they are too many.

    Those stay listed that an earlier start found.

    Args:
        run: where to, in bad_pictures.csv.
        pictures: how many there are.
    """

    def __init__(self, run: RunFolder, pictures: int):
        super().__init__()
        self._path = run.path / BAD_PICTURES
        self._pictures = pictures
        self._found = {b.path: b for b in scan.read_bad_videos(self._path)}
        self._listed = len(self._found)

    def add(self, picture: Picture, reason: str) -> None:
        """Notes a picture; called by the threads that read them."""
        bad = BadVideo("train", str(picture.path), reason)
        self._found.setdefault(bad.path, bad)

    def on_train_batch_end(self, batch, logs=None):
        self.check()

    def check(self) -> None:
        """Raises a UserError if there are too many."""
        found = list(self._found.values())
        if len(found) == self._listed:
            return
        for bad in found[self._listed :]:
            progress.say(f"note: {bad.path} is left out: {bad.reason}")
        self._listed = len(found)
        scan.write_bad_videos(self._path, found)
        if len(found) > MAX_BAD_SHARE * self._pictures:
            raise UserError(
                f"{len(found)} of {self._pictures} pictures are bad, more than "
                f"{MAX_BAD_SHARE:.0%}; they are listed in {self._path}."
                f"{scan.abbreviated(found)}"
            )


class _Test(CocoEvaluation):
    """Tests, and lets the record know how long that took."""

    def __init__(self, record: callbacks.Record, validation, **options):
        super().__init__(validation, **options)
        self._record = record

    def on_epoch_end(self, epoch, logs=None):
        self._record.on_test_begin()
        try:
            super().on_epoch_end(epoch, logs)
        except finite.OutputsError as error:
            raise UserError(
                f"In the validation after epoch {epoch + 1}: {error}"
            ) from error
        self._record.on_test_end()


def make_detector(
    chosen: DetectionRecipe, categories: Sequence[Category]
) -> MaskRCNN:
    """The recipe's network for the classes that are annotated.

    Raises:
        UserError: there can be no such network.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(chosen.training.precision)
    try:
        return MaskRCNN(chosen.network(categories))
    except (TypeError, ValueError) as error:
        raise UserError(f"Recipe {chosen.name!r}: {error}") from error
    finally:
        keras.config.set_dtype_policy(before)


def start_from_weights(detector: MaskRCNN, chosen: DetectionRecipe) -> str:
    """Fills a new detector from the file that the recipe names.

    Returns:
        What was filled and what was not, for the screen.

    Raises:
        UserError: it is missing, damaged or for another network.
    """
    path = chosen.start.weights
    if path is None:
        if chosen.start.scratch:
            return ""
        raise UserError(
            f"{chosen.name} starts from an ImageNet network, or from a "
            "detector. Give it: --set start.weights=FILE; or, to start from "
            "random weights, --set start.scratch=True"
        )
    if pathlib.Path(path, "recipe.json").is_file():
        raise UserError(
            "Expected start.weights to be a file of weights. Received: "
            f"{path}, which is a run folder"
        )
    if not pathlib.Path(path).is_file():
        raise UserError(f"start.weights: there is no file {path}")
    with weight_errors.shown("start.weights", weight_errors.of_detector):
        if not detection.is_detector_checkpoint(path):
            return f"{detection.load_backbone_weights(detector, path)}\n"
        try:
            report = detection.load_detector_weights(detector, path)
        except MismatchError:  # of other classes
            report = detection.load_detector_weights(
                detector, path, new_classes=True
            )
        return f"{report}\n"


def write_categories(run: RunFolder, annotated: Annotations) -> None:
    """Keeps what the classes are, for those who have no annotations."""
    rows = [dataclasses.asdict(one) for one in annotated.categories]
    atomic_files.write_text(run.path / CATEGORIES, json.dumps(rows, indent=2))


def read_categories(run: RunFolder) -> tuple[Category, ...]:
    """What the classes of a run are.

    Raises:
        UserError: nothing was trained in it yet.
    """
    if not (run.path / CATEGORIES).is_file():
        raise UserError(
            f"{run.path} has no {CATEGORIES}: nothing was trained in it yet."
        )
    try:
        rows = json_text.parse_as((run.path / CATEGORIES).read_bytes(), [dict])
        return tuple(annotations.category(row)[0] for row in rows)
    except (ValueError, InvalidEntry) as error:
        raise UserError(
            f"{run.path / CATEGORIES} cannot be read ({error})."
        ) from error


def make_trainer(
    chosen: DetectionRecipe,
    categories: Sequence[Category],
    devices: Devices,
    start: checkpointing.Checkpoint | None,
) -> DetectorTrainer:
    """The network in the state in which training begins or goes on.

    Args:
        chosen: the recipe.
        categories: that are told apart.
        devices: to train on.
        start: where it goes on, or None for the beginning.
    """
    # Not under the scope: they are this process's own.
    signals = Signals(is_timed=not chosen.training.deterministic)
    with devices.strategy.scope():
        detector = make_detector(chosen, categories)
        if start is None:
            print(start_from_weights(detector, chosen), end="")
        freeze(detector, chosen.start.frozen_stages)
        trainer = DetectorTrainer(detector, chosen.sampling, signals)
        trainer.compile(_optimizer(chosen), jit_compile=False)
        trainer.optimizer.build(trainer.trainable_variables)
    if start is not None:
        checkpointing.restore(trainer, start)
    return trainer


def _optimizer(chosen: DetectionRecipe) -> keras.optimizers.Optimizer:
    config = chosen.optimizer
    rate = schedules.learning_rate(chosen)
    if config.name == "adam":
        return keras.optimizers.Adam(rate)
    return optimizers.SGD(
        rate,
        config.momentum,
        config.weight_decay,
        nesterov=False,
        bias_l2=False,
        bias_rate=BIAS_RATE,
    )


def _announce(
    chosen: DetectionRecipe,
    run: RunFolder,
    trainer: DetectorTrainer,
    data: Data,
    devices: Devices,
) -> None:
    where = "" if devices.replicas == 1 else f" on {devices.replicas} devices"
    print(
        f"Training {chosen.name} ({trainer.count_params():,} parameters): "
        f"{chosen.steps} steps of {chosen.batch}{where}.\n"
        f"All figures of each epoch: {run.metrics_path}"
    )
    note = schedules.scaling_note(chosen)
    if note:
        print(f"note: {note}")
    points = max(len(one.keypoints) for one in data.train.categories)
    if points and not chosen.detector.num_keypoints:
        print(
            "note: keypoints of the annotations are left out: --set "
            f"detector.num_keypoints={points} learns them"
        )


def scores_of(row: dict) -> dict[str, float]:
    """The numbers of a test in a row of metrics.csv."""
    return {
        name.removeprefix("val_"): float(value)
        for name, value in row.items()
        if name.startswith("val_")
    }
