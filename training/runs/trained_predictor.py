"""Load a SavedModel or a run for prediction."""

from ..data import DATASETS, datasets
from ..data.sampling_config import SamplingConfig, ViewsConfig
from ..data.video_dataset import VideoDataset
from ..data.video_limits import Limits
from ..evaluation import resized_network, scoring, view_options
from ..evaluation.classifier import Classifier
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
    description = clip_description.read(model.path) or _describe(recipe)
    sampling = description.sampling
    views, chosen = choose_views(
        choose, description.views, sampling, model.path
    )
    if sampling is not None:
        _check_saved_model(model, sampling, views, description)
    return Predictor(
        path=model.path,
        classes=model.classes,
        sampling=sampling,
        decoder="pyav",
        views=views,
        chosen=chosen,
        step=model.probabilities,
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


def _describe(recipe: Recipe | None) -> ClipDescription:
    """Describe the clips of an older SavedModel by its recipe, if any."""
    if recipe is None:
        return ClipDescription(None)
    sampling = _sampling(recipe)
    window_px = None
    if sampling and resized_network.takes_argument(
        recipe.model.name, "crop_px"
    ):
        window_px = sampling.crop_px
    return ClipDescription(sampling, recipe.views, window_px=window_px)


def _check_saved_model(
    model: SavedModel,
    sampling: SamplingConfig,
    views: ViewsConfig,
    description: ClipDescription,
) -> None:
    """Raise a UserError for views that the model does not score."""
    side = views.crop_px if views.crops else None
    shape = (sampling.frames, side, side, 3)
    if not resized_network.accepts(model.input_shape, shape):
        raise UserError(
            f"{model.path} takes clips of shape {model.input_shape} only. "
            f"Expected views of that size. Received: {shape}; give "
            "--short-side and --crop, or --model with the run folder."
        )
    check_windows(description, views)
    view_options.check(views, sampling, description.multi_label)


def check_windows(description: ClipDescription, views: ViewsConfig) -> None:
    """Raise a UserError where evaluation would average over windows.

    A SavedModel averages over whole views, which is the same only for views of
    the training size.

    Args:
        description: of the clips of the SavedModel.
        views: clips and crops of each video.
    """
    window_px = description.window_px
    side = views.crop_px if views.crops else None
    if window_px is None or views.starts == "mmaction2" or side == window_px:
        return
    raise UserError(
        f"Evaluation of this network averages over windows of {window_px} px, "
        f"a SavedModel over whole views. Expected --crop {window_px} or "
        "--model with the run folder. Received: "
        f"{scoring.describe_views(views)}"
    )
