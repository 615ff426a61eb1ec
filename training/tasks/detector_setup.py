"""Detectors of a recipe: built, with start weights, and as a run left them."""

from collections.abc import Sequence

import keras

from nonlocal_tf import detection
from nonlocal_tf.checkpoints.errors import MismatchError
from nonlocal_tf.detection import MaskRCNN

from ..coco.annotations import Category
from ..coco.trained_detector import TrainedDetector, load_detector
from ..io import paths, weight_errors
from ..io.user_error import UserError
from ..loop import checkpointing, optimizers, parameter_rates, schedules
from ..loop.detector_trainer import DetectorTrainer
from ..loop.train_step import Signals
from ..recipes.detection_schema import DetectionRecipe
from ..runs import named_weights
from ..runs.provenance import WeightSource
from ..runs.run_folder import RunFolder
from ..runs.trained_checkpoint import trained_checkpoint
from .category_file import read_categories

# In Detectron, learning rate of biases over that of other weights.
BIAS_RATE = 2.0


def build_detector(
    recipe: DetectionRecipe, categories: Sequence[Category]
) -> MaskRCNN:
    """Build a recipe's detector for the annotated classes.

    Raises:
        UserError: its configuration is impossible.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(recipe.training.precision)
    try:
        return MaskRCNN(
            recipe.network(categories),
            [category.name for category in categories],
            recipe.images.evaluated,
        )
    except (TypeError, ValueError) as error:
        raise UserError(f"Recipe {recipe.name!r}: {error}") from error
    finally:
        keras.config.set_dtype_policy(before)


def start_from_weights(
    detector: MaskRCNN, recipe: DetectionRecipe
) -> tuple[str, list[WeightSource]]:
    """Load the start weights of a recipe, from a path or a URL.

    Returns:
        A report on loaded and missing weights for the screen, and the
        provenance of the weights.

    Raises:
        UserError: the file is missing, damaged or of another network.
    """
    weights = recipe.start.weights
    if weights is None:
        if recipe.start.scratch:
            return "", []
        raise UserError(
            f"{recipe.name} starts from an ImageNet network, or from a "
            "detector. Give it: --set start.weights=FILE; or, to start from "
            "random weights, --set start.scratch=True"
        )
    path = named_weights.path_for_detector(weights, recipe)
    if (path / "recipe.json").is_file():
        raise UserError(
            "Expected start.weights to be a file of weights. Received: "
            f"{path}, which is a run folder"
        )
    if not path.is_file():
        raise UserError(f"start.weights: there is no file {path}")
    with (
        paths.local_copy(path) as copy,
        weight_errors.shown(
            "start.weights", weight_errors.of_detector, str(copy), str(path)
        ),
    ):
        if not detection.is_detector_checkpoint(copy):
            report = detection.load_backbone_weights(detector, copy)
        else:
            try:
                report = detection.load_detector_weights(detector, copy)
            except MismatchError:  # of other classes
                report = detection.load_detector_weights(
                    detector, copy, new_classes=True
                )
    return f"{report}\n", [WeightSource(path.name, report.format)]


def load(workdir: str | None, weights: str | None) -> TrainedDetector:
    """Load the detector of a run or of a published file.

    Raises:
        UserError: both or none of them are given, or it cannot be loaded.
    """
    if (workdir is None) == (weights is None):
        raise UserError("Give either a run folder or --weights FILE.")
    if workdir is not None:
        return load_run(workdir)
    return load_detector(str(weights))


def load_run(path: str | paths.Path) -> TrainedDetector:
    """Load the detector of a run from its latest checkpoint.

    Raises:
        UserError: the folder is no such run, or has no checkpoint yet.
    """
    run = RunFolder(path)
    recipe = run.read_recipe(DetectionRecipe)
    checkpoint = trained_checkpoint(run)
    categories = read_categories(run.path)
    detector = build_detector(recipe, categories)
    trainer = detector_trainer(detector, recipe, Signals())
    checkpointing.restore(trainer, checkpoint)
    checkpointing.restore_average(trainer, checkpoint)
    return TrainedDetector(
        str(run.path),
        detector,
        categories,
        detector.image_preprocessing.short_side_px,
        detector.image_preprocessing.long_side_px,
        detector.image_preprocessing.normalization,
    )


def detector_trainer(
    detector: MaskRCNN, recipe: DetectionRecipe, signals: Signals
) -> DetectorTrainer:
    """Compile a detector for training."""
    rates = rates_of(detector, recipe)
    config = recipe.optimizer
    trainer = DetectorTrainer(
        detector,
        recipe.sampling,
        signals,
        config.clip_norm,
        recipe.training.micro_batches,
        recipe.training.ema_decay,
    )
    rate = schedules.learning_rate(config, recipe.batch, recipe.steps)
    optimizer = optimizers.make(
        config,
        rate,
        rates=rates,
        nesterov=False,
        bias_l2=False,
        bias_rate=BIAS_RATE,
    )
    trainer.compile(optimizer, jit_compile=False)
    return trainer


def rates_of(detector: MaskRCNN, recipe: DetectionRecipe) -> dict[str, float]:
    """Freeze parts of a detector; return factors on the rates of the others.

    Raises:
        UserError: the recipe names a part that the detector does not have, or
            does not train.
    """
    detection.freeze(detector, recipe.start.frozen_parts)
    config = recipe.optimizer
    return parameter_rates.rates(
        detector, config.layer_decay, config.part_rates
    )
