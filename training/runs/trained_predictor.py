"""Load a SavedModel or a run for prediction."""

import inspect

import numpy as np

from nonlocal_tf import models

from ..data import DATASETS, datasets
from ..data.sampling_config import SamplingConfig, ViewsConfig
from ..data.video_dataset import VideoDataset
from ..data.video_limits import Limits
from ..evaluation import resized_network, scoring, view_options
from ..evaluation.classifier import Classifier
from ..evaluation.distributed_step import ScoreStep
from ..exporting import clip_description
from ..exporting.clip_description import ClipDescription
from ..exporting.saved_model import SavedModel
from ..io import paths
from ..io.paths import Path
from ..io.user_error import UserError
from ..prediction.predictor import (
    ChooseViews,
    Predictor,
    centre_clip,
    choose_views,
)
from ..recipes.schema import Recipe
from . import exported_recipe, run_model
from .run_folder import RunFolder

WINDOWS = "serve_views"  # signature that averages over windows


def load(path: str | Path, choose: ChooseViews = centre_clip) -> Predictor:
    """Load a SavedModel, or the latest checkpoint of a run.

    Args:
        path: a version of a SavedModel, a directory of versions, or a run
            folder; a path or a URL.
        choose: gives the views of each video.

    Raises:
        UserError: it is neither, or does not take such views.
    """
    path = paths.as_path(path)
    if (path / "recipe.json").is_file():
        return _of_run(RunFolder(path), choose)
    return _of_saved_model(SavedModel(path), choose)


def _of_run(run: RunFolder, choose: ChooseViews) -> Predictor:
    """Build the network and the views of `nonlocal-tf evaluate`."""
    model, recipe, info = run_model.load_trained(run)
    classifier = Classifier(model, multi_label=info.multi_label)
    sampling = _sampling(recipe)
    views, chosen = choose_views(choose, recipe.views, sampling, run.path)
    if sampling is not None:
        view_options.check(views, sampling, info.multi_label)
        classifier = classifier.for_views(views, info.element_shape)
    return Predictor(
        path=run.path,
        classes=info.classes,
        sampling=sampling,
        decoder=recipe.data.decoder if recipe.data else "pyav",
        views=views,
        chosen=chosen,
        step=classifier.probabilities,
        **_of_recipe(recipe),
    )


def _of_saved_model(model: SavedModel, choose: ChooseViews) -> Predictor:
    recipe = exported_recipe.read(model.path)
    description = clip_description.read(model.path)
    if description is None:
        description = _describe(model, recipe)
    sampling = description.sampling
    views, chosen = choose_views(
        choose, description.views, sampling, model.path
    )
    step: ScoreStep = model.probabilities
    if sampling is not None:
        view_options.check(views, sampling, description.multi_label)
        step = _score_step(model, sampling, views, description)
    return Predictor(
        path=model.path,
        classes=model.classes,
        sampling=sampling,
        decoder="pyav",
        views=views,
        chosen=chosen,
        step=step,
        **_of_recipe(recipe),
    )


def _sampling(recipe: Recipe) -> SamplingConfig | None:
    """Return the sampling of a recipe of videos, else None."""
    if not issubclass(DATASETS.get(recipe.dataset, object), VideoDataset):
        return None
    return recipe.sampling or SamplingConfig()


def _of_recipe(recipe: Recipe | None) -> dict:
    """Return the arguments of `Predictor` that are of the training data."""
    if recipe is None:
        return {}
    return {
        "limits": Limits.of(recipe.data),
        "dataset_name": recipe.dataset,
        "load_dataset": lambda: datasets.load(
            recipe.dataset, recipe.data, recipe.sampling
        ),
    }


def _describe(model: SavedModel, recipe: Recipe | None) -> ClipDescription:
    """Describe the clips of an older SavedModel by its recipe, if any."""
    sampling = _sampling(recipe) if recipe else None
    if recipe is None or sampling is None:
        return ClipDescription(None)
    builder = models.registry.MODELS.get(recipe.model.name)
    has_windows = builder is not None and (
        "crop_px" in inspect.signature(builder).parameters
    )
    return ClipDescription(
        sampling,
        recipe.views,
        multi_label=not _is_softmax(model, sampling),
        window_px=sampling.crop_px if has_windows else None,
    )


def _is_softmax(model: SavedModel, sampling: SamplingConfig) -> bool:
    """Return True if scores sum to 1, as for one label per video."""
    side = sampling.crop_px
    clip = np.zeros((1, sampling.frames, side, side, 3), np.uint8)
    return bool(abs(model.probabilities(clip).sum() - 1) < 1e-3)


def _score_step(
    model: SavedModel,
    sampling: SamplingConfig,
    views: ViewsConfig,
    description: ClipDescription,
) -> ScoreStep:
    """Return the function that scores views as evaluation does.

    Raises:
        UserError: the model does not score such views.
    """
    side = views.crop_px if views.crops else None
    shape = (sampling.frames, side, side, 3)
    if not has_windows(description, views):
        if not resized_network.accepts(model.input_shape, shape):
            raise UserError(
                f"{model.path} takes clips of shape {model.input_shape} only. "
                f"Expected views of that size. Received: {shape}; give "
                "--short-side and --crop, or --model with the run folder."
            )
        return model.probabilities
    taken = model.input_shapes.get(WINDOWS, ())
    short = views.crop_px if views.crops else views.short_side_px
    window_px = description.window_px or 0
    if short < window_px or not resized_network.accepts(taken, shape):
        size = f" {taken[1]} or" if taken and taken[1] else ""
        raise UserError(
            f"Evaluation of this network averages over windows of {window_px} "
            "px, this SavedModel over these views as a whole. Expected "
            f"--crop{size} {window_px} or --model with the run folder. "
            f"Received: {scoring.describe_views(views)}"
        )

    def score(pixels: np.ndarray) -> np.ndarray:
        # Clip files may have the size of training clips.
        is_view = resized_network.accepts(taken, pixels.shape[1:])
        signature = WINDOWS if is_view else "serving_default"
        return model.probabilities(pixels, signature)

    return score


def has_windows(description: ClipDescription, views: ViewsConfig) -> bool:
    """Return True where evaluation averages over windows of the views.

    Args:
        description: of the clips of the SavedModel.
        views: clips and crops of each video.
    """
    if description.window_px is None or views.starts == "mmaction2":
        return False
    side = views.crop_px if views.crops else None
    return side != description.window_px
