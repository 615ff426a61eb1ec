"""Detection: Mask and Keypoint R-CNN on annotations in COCO's format."""

import argparse
from typing import Any

import keras

from nonlocal_tf.detection import MaskRCNN

from ..coco import batches as coco_batches
from ..coco import coco_api, coco_scores
from ..data import CocoDataset, bad_videos, load_coco
from ..io import paths
from ..io.user_error import UserError
from ..loop import best_epoch, run_callbacks
from ..loop.detector_trainer import DetectorTrainer
from ..loop.distribution import Devices
from ..loop.train_step import Signals
from ..recipes.detection_schema import CocoDataConfig, DetectionRecipe
from ..runs.provenance import WeightSource
from ..runs.run_folder import RunFolder
from . import (
    detector_evaluation,
    detector_export,
    detector_prediction,
    detector_setup,
    detector_visualization,
)
from .base import Task
from .category_file import write_categories
from .coco_validation import CocoValidation

KINDS = ("box", "mask", "keypoint")
# Metrics of each kind at the end of training.
SHOWN = ("AP", "AP50", "AP75")


class Detection(Task):
    """Detection of objects with boxes, masks and keypoints."""

    name = "detection"
    schema = DetectionRecipe
    inputs = "images"
    metrics_shown = ("loss", *(f"val_{kind}_AP" for kind in KINDS))

    def data_name(self, recipe: DetectionRecipe) -> str:
        return recipe.data.train or "no annotations"

    def open_data(self, recipe: DetectionRecipe) -> CocoDataset:
        config = recipe.detector
        coco_api.require(
            masks=config.has_masks,
            scores=recipe.data.validation is not None,
        )
        data = _load(recipe.data)
        print(data.summary(), flush=True)
        coco_batches.check(data.train, recipe.batch_config)
        if data.validation is not None:
            coco_scores.check(data.validation, config)
            categories = data.train.categories
            for line in coco_scores.notes(data.validation, categories, config):
                print(f"note: {line}")
        return data

    def check(self, recipe: DetectionRecipe) -> CocoDataset:
        data = self.open_data(recipe)
        detector = detector_setup.build_detector(recipe, data.categories)
        detector_setup.start_from_weights(detector, recipe)
        detector_setup.rates_of(detector, recipe)
        metrics = ["loss"]
        if data.validation is not None:
            scored = coco_scores.scored_iou_types(
                data.validation, detector.config
            )
            names = coco_scores.metric_names(scored)
            metrics += [f"val_{name}" for name in names]
        best_epoch.check_metric(recipe.training, metrics)
        return data

    def build(
        self, recipe: DetectionRecipe, data: CocoDataset, run, strategy, is_new
    ) -> tuple[MaskRCNN, str, list[WeightSource] | None]:
        report, provenance = "", None
        with strategy.scope():
            detector = detector_setup.build_detector(recipe, data.categories)
            if is_new:
                report, provenance = detector_setup.start_from_weights(
                    detector, recipe
                )
        return detector, report, provenance

    def trainer(
        self,
        model: MaskRCNN,
        recipe: DetectionRecipe,
        data: Any,
        signals: Signals,
    ) -> DetectorTrainer:
        return detector_setup.detector_trainer(model, recipe, signals)

    def batches(
        self, recipe: DetectionRecipe, data: CocoDataset, devices: Devices
    ) -> "DetectionBatches":
        return DetectionBatches(recipe, data, devices)

    def validation(
        self, recipe: DetectionRecipe, batches: Any, devices: Devices
    ) -> run_callbacks.ValidateWithEmaWeights:
        return run_callbacks.ValidateWithEmaWeights(alone=devices.workers == 1)

    def validation_after_epoch(
        self, recipe, data, validation, saving, devices
    ) -> list[keras.callbacks.Callback]:
        if data.validation is None:
            return []
        return [
            CocoValidation(
                data.validation,
                [validation, saving],
                categories=data.categories,
                short_side_px=recipe.images.eval_short_side_px,
                long_side_px=recipe.images.long_side_px,
                normalization=recipe.images.normalization,
            )
        ]

    def is_validated(self, data: CocoDataset) -> bool:
        return data.validation is not None

    def metric_text(self, name: str, value: float) -> str:
        return (
            f"{value:.4g}" if name == "loss" else coco_scores.format_ap(value)
        )

    def begin_run(self, run: RunFolder, data: CocoDataset) -> None:
        write_categories(run.path, data.categories)
        path = run.bad_inputs_path(self.inputs)
        data.bad[:] = bad_videos.read_bad_videos(path)  # of earlier starts

    def notes(
        self, recipe: DetectionRecipe, model: keras.Model, data: CocoDataset
    ) -> list[str]:
        points = max(len(category.keypoints) for category in data.categories)
        if not points or recipe.detector.num_keypoints:
            return []
        return [
            "keypoints of the annotations are ignored: --set "
            f"detector.num_keypoints={points} trains a head for them"
        ]

    def test(
        self, recipe: DetectionRecipe, run: RunFolder, history: list[dict]
    ) -> dict:
        """Return the metrics of the last validation, and store them."""
        scores = {
            name.removeprefix("val_"): float(value)
            for name, value in history[-1].items()
            if name.startswith("val_")
        }
        if recipe.data.validation is not None:
            annotations = paths.as_path(recipe.data.validation)
            detector_evaluation.write_metrics(
                run, "validation", scores, annotations
            )
        return {"scores": scores}

    def export(self, run: RunFolder, out, dtype: str = "float32"):
        return detector_export.export_run(run, out, dtype)

    def add_evaluate_options(self, group: argparse._ArgumentGroup) -> None:
        detector_evaluation.add_options(group)

    def evaluate(self, options: argparse.Namespace) -> None:
        detector_evaluation.run_command(options)

    def add_predict_options(self, group: argparse._ArgumentGroup) -> None:
        detector_prediction.add_options(group)

    def predict(self, options: argparse.Namespace) -> None:
        detector_prediction.run_command(options)

    def add_visualize_options(self, group: argparse._ArgumentGroup) -> None:
        detector_prediction.add_options(group)

    def visualize(self, options: argparse.Namespace) -> None:
        detector_visualization.run_command(options)

    def check_export(self, out, recipe: DetectionRecipe) -> None:
        detector_export.check_out(out, recipe)

    def summary(self, result: dict) -> list[tuple[str, str]]:
        scores = result["scores"]
        if not scores:
            return [("validation", "none (--set data.validation=FILE.json)")]
        rows = []
        for kind in KINDS:
            if f"{kind}_AP" in scores:
                values = (
                    f"{name} {coco_scores.format_ap(scores[f'{kind}_{name}'])}"
                    for name in SHOWN
                )
                rows.append((f"validation, {kind}", ", ".join(values)))
        return rows

    def next_commands(
        self, recipe: DetectionRecipe, workdir: str, model: str | None
    ) -> list[tuple[str, ...]]:
        folder = model or workdir.replace("--workdir", "--model")
        options = ("IMAGES", folder, "--out detections")
        commands: list[tuple[str, ...]] = [("predict", "predict", *options)]
        if recipe.detector.nonlocal_block is not None:
            options = (workdir, "IMAGE", "--query strongest")
            commands.append(("visualize", "visualize", *options))
        if model is not None:
            commands.append(("a page", "app", model))
        return [*commands, ("evaluate", "evaluate", workdir)]


def _load(config: CocoDataConfig) -> CocoDataset:
    """Load the annotations of a recipe.

    Raises:
        UserError: a file is not given, or has no valid annotation.
    """
    if config.train is None:
        raise UserError(
            "Give the annotations, in COCO's format: --set "
            "data.train=FILE.json --set data.images=FOLDER"
        )
    return load_coco(
        config.train,
        config.images,
        validation=config.validation,
        validation_images=config.validation_images,
    )


class DetectionBatches:
    """Batches of annotated images for the devices of a run."""

    def __init__(
        self, recipe: DetectionRecipe, data: CocoDataset, devices: Devices
    ):
        self._recipe = recipe
        self._data = data
        self._devices = devices

    def for_training(self, first_step: int, last_step: int) -> Any:
        """Return the batches of steps `first_step` to `last_step` - 1."""
        batches = coco_batches.batches(
            self._data.train,
            self._recipe.batch_config,
            self._recipe.seed,
            first_step,
            last_step,
            on_bad=self._data.add_bad,
            worker=self._devices.worker,
            workers=self._devices.workers,
        )
        return self._devices.distribute(batches)

    def for_validation(self) -> None:
        """Return nothing: `CocoValidation` validates after an epoch."""
