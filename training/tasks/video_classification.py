"""Video classification: non-local networks on clips of videos."""

import argparse
import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from nonlocal_tf import models
from nonlocal_tf.models import frame_order

from ..data import (
    Dataset,
    class_name_warnings,
    class_weights,
    datasets,
    mixing,
    pipeline,
    video_split,
)
from ..evaluation import video_scores, view_options
from ..exporting import file_formats
from ..io import tables
from ..io.user_error import UserError
from ..loop import best_epoch, run_callbacks
from ..loop.distribution import Devices
from ..loop.train_step import Signals
from ..loop.trainer import Trainer
from ..prediction import predict_options
from ..recipes.schema import Recipe, TrainingConfig
from ..runs import frame_stride, run_model
from ..runs.provenance import WeightSource
from ..runs.run_folder import RunFolder
from . import (
    video_evaluation,
    video_export,
    video_prediction,
    video_visualization,
)
from .base import Task

# Batches for statistics are drawn as those of another run would be.
STATISTICS_SEED = 0x5747


class VideoClassification(Task):
    """Classification of videos, or of images for an image stage."""

    name = "video classification"
    schema = Recipe
    inputs = "videos"

    def resolve(self, recipe: Recipe, run: RunFolder) -> tuple[Recipe, str]:
        return frame_stride.resolve(recipe, run)

    def first_stage(self, recipe: Recipe) -> Recipe | None:
        return recipe.image_stage

    def data_name(self, recipe: Recipe) -> str:
        return recipe.dataset

    def open_data(self, recipe: Recipe) -> Dataset:
        return datasets.load(recipe.dataset, recipe.data, recipe.sampling)

    def check(self, recipe: Recipe) -> Dataset:
        """Check data, views, network and start weights of every stage."""
        if recipe.image_stage is not None:
            self.check(recipe.image_stage)
        dataset = datasets.load(recipe.dataset, recipe.data, recipe.sampling)
        dataset.check_trainable()
        _check_loss(recipe.training, dataset)
        if recipe.views is not None and recipe.sampling is not None:
            view_options.check(
                recipe.views, recipe.sampling, dataset.multi_label
            )
        model = run_model.build_model(recipe, dataset)
        run_model.rates(model, recipe)
        if recipe.image_stage is None:
            run_model.start_from_weights(model, recipe)
        return dataset

    def build(
        self, recipe: Recipe, data: Dataset, run: RunFolder, strategy, is_new
    ) -> tuple[keras.Model, str, list[WeightSource] | None]:
        image_model, report, provenance = None, "", None
        if is_new and recipe.image_stage is not None:
            stage = RunFolder(run.image_stage)
            image_model, *_ = run_model.load_trained(stage)
            provenance = stage.read_provenance()
        with strategy.scope():
            model = run_model.build_model(recipe, data)
            if image_model is not None:
                models.inflate(image_model, model)
            elif is_new:
                report, provenance = run_model.start_from_weights(model, recipe)
        return model, report, provenance

    def trainer(
        self,
        model: keras.Model,
        recipe: Recipe,
        data: Dataset,
        signals: Signals,
    ) -> Trainer:
        config = recipe.training
        trainer = Trainer(
            model,
            signals,
            data.multi_label,
            config.label_smoothing,
            recipe.optimizer.clip_norm,
            config.micro_batches,
            config.ema_decay,
            class_weights.class_weights(
                config.class_weights, data.classes, data.class_counts()
            ),
            config.focal_gamma,
        )
        run_model.compile_model(trainer, recipe, data)
        return trainer

    def batches(
        self, recipe: Recipe, data: Dataset, devices: Devices
    ) -> "VideoBatches":
        return VideoBatches(recipe, data, devices)

    def validation(
        self, recipe: Recipe, batches: "VideoBatches", devices: Devices
    ) -> run_callbacks.ValidateWithEmaWeights:
        precise = recipe.training.precise_bn_batches > 0
        return run_callbacks.ValidateWithEmaWeights(
            batches.for_statistics if precise else None
        )

    def notes(
        self, recipe: Recipe, model: keras.Model, data: Dataset
    ) -> list[str]:
        notes = list(data.notes())
        config = recipe.model
        has_weights = config.starts_from or recipe.image_stage is not None
        if config.frozen and not has_weights:
            notes.append(
                f"model.frozen={config.frozen} keeps weights that are random: "
                "give others with --set model.weights=FILE"
            )
        if recipe.sampling is not None:
            notes += clip_notes(recipe, model, data)
        return notes

    def test(self, recipe: Recipe, run: RunFolder, history: list[dict]) -> dict:
        start_time = time.monotonic()
        scores = video_evaluation.evaluate_run(run, "test")
        seconds = round(time.monotonic() - start_time, 1)
        return {**dataclasses.asdict(scores), "test_seconds": seconds}

    def export(self, run: RunFolder, out, dtype: str = "float32"):
        return video_export.export_run(run, out, dtype)

    def export_file(self, run: RunFolder, path, dtype: str) -> str:
        file_formats.check(path, dtype)
        return video_export.export_file(run, path, dtype)

    def add_evaluate_options(self, group: argparse._ArgumentGroup) -> None:
        video_evaluation.add_options(group)

    def evaluate(self, options: argparse.Namespace) -> None:
        video_evaluation.run_command(options)

    def add_predict_options(self, group: argparse._ArgumentGroup) -> None:
        predict_options.add_arguments(group)

    def predict(self, options: argparse.Namespace) -> None:
        video_prediction.run_command(options)

    def add_visualize_options(self, group: argparse._ArgumentGroup) -> None:
        video_visualization.add_options(group)

    def visualize(self, options: argparse.Namespace) -> None:
        video_visualization.run_command(options)

    def check_export(self, out, recipe: Recipe) -> None:
        video_export.check_out(out, recipe)

    def summary(self, result: dict) -> list[tuple[str, str]]:
        accuracy = tables.percent(result["accuracy"])
        precision = result.get("mean_average_precision")
        name = "accuracy" if precision is None else "mean average precision"
        count = result.get("examples", "?")
        return [
            (f"test {name}", f"{accuracy} of {count} examples"),
            *video_scores.baseline_rows(result),
        ]

    def next_commands(
        self, recipe: Recipe, workdir: str, model: str | None
    ) -> list[tuple[str, ...]]:
        has_clips = recipe.data is None or recipe.data.clips is not None
        video = "--sample 0" if has_clips else '"my video.mp4"'
        commands: list[tuple[str, ...]] = []
        if model is not None:
            commands.append(("predict", "predict", model, video))
            commands.append(("a page", "app", model))
        else:
            run = workdir.replace("--workdir", "--model", 1)
            commands.append(("predict", "predict", run, video))
        if "_nl" in recipe.model.name:
            options = (workdir, video, "--out attention.png")
            commands.append(("visualize", "visualize", *options))
        commands.append(("evaluate", "evaluate", workdir))
        if model is not None:
            commands.append(("serve", "serve_config", model))
        return commands


def _check_loss(config: TrainingConfig, dataset: Dataset) -> None:
    """Raise a UserError for a loss or metric of another kind of labels."""
    name = "auc_pr" if dataset.multi_label else "accuracy"
    metrics = ("loss", name, "val_loss", f"val_{name}")
    best_epoch.check_metric(config, metrics)
    class_weights.class_weights(config.class_weights, dataset.classes, None)
    if dataset.multi_label and config.class_weights is not None:
        raise UserError(
            "training.class_weights is for videos of one class each. These "
            "have several: --set training.focal_gamma=2 lets rare ones count."
        )
    if dataset.multi_label and (config.mixup or config.cutmix):
        raise UserError(
            "training.mixup and training.cutmix are for videos of one class "
            "each. These have several."
        )
    if not dataset.multi_label and config.focal_gamma:
        raise UserError(
            "training.focal_gamma is for videos of several classes each. "
            "These have one: --set training.class_weights=balanced."
        )


def clip_notes(
    recipe: Recipe, model: keras.Model, dataset: Dataset
) -> list[str]:
    """List what a network cannot tell apart in clips of videos."""
    notes, sampling = [], recipe.sampling
    names: Sequence[str]
    if sampling is not None and sampling.flip:
        names = dataset.classes
        if sampling.flip_pairs:
            other = video_split.flip_table(sampling.flip_pairs, names)
            names = [n for i, n in enumerate(names) if other[i] == i]
        notes.append(class_name_warnings.flip_note(names))
    if sampling is not None and sampling.reversal:
        notes.append(class_name_warnings.reversal_note(dataset.classes))
    if not frame_order.depends_on_frame_order(model):
        notes.append(
            f"{recipe.model.name} is invariant to the order of frames: it "
            "cannot tell apart classes that differ by motion alone. Networks "
            "called i3d_* see motion"
        )
    return notes


class VideoBatches:
    """Batches of a data set of videos for the devices of a run."""

    def __init__(self, recipe: Recipe, dataset: Dataset, devices: Devices):
        self._recipe = recipe
        self._dataset = dataset
        self._devices = devices

    def for_training(self, first_step: int, last_step: int) -> Any:
        """Return the batches of steps `first_step` to `last_step` - 1."""
        config, seed = self._recipe.training, self._recipe.seed
        batches = self._unmixed(seed, first_step, last_step)
        if config.mixup or config.cutmix:
            batches = mixing.mixed_batches(
                batches.enumerate(first_step),
                seed,
                len(self._dataset.classes),
                config.mixup,
                config.cutmix,
            )
        return self._devices.distribute(pipeline.feed(batches))

    def for_statistics(self, epoch: int) -> Any:
        """Return batches for precise batch normalization after an epoch."""
        count = self._recipe.training.precise_bn_batches
        seed = self._recipe.seed ^ STATISTICS_SEED
        batches = self._unmixed(seed, epoch * count, (epoch + 1) * count)
        batches = self._devices.distribute(pipeline.feed(batches))
        if self._devices.workers > 1:
            return batches
        return self._devices.strategy.experimental_distribute_dataset(batches)

    def for_validation(self) -> Any:
        """Return the whole validation split, on each worker."""
        batches = pipeline.feed(self._dataset.eval_batches("validation"))
        if self._devices.replicas == 1:
            return batches
        own = self._devices.replicas // self._devices.workers
        return self._devices.distribute(pipeline.padded(batches, own))

    def _unmixed(
        self, seed: int, first_step: int, last_step: int
    ) -> tf.data.Dataset:
        return self._dataset.train_batches(
            batch=self._recipe.batch,
            seed=seed,
            start_step=first_step,
            steps=last_step,
            worker=self._devices.worker,
            workers=self._devices.workers,
        )
