"""Load a SavedModel or a run for prediction."""

import dataclasses
from collections.abc import Callable

import numpy as np

from ..data import DATASETS, Dataset, datasets, frame_sampling
from ..data.sampling_config import SamplingConfig, ViewsConfig
from ..data.video_dataset import VideoDataset
from ..data.video_limits import Limits
from ..evaluation import resized_network, scoring, view_options
from ..evaluation.classifier import Classifier
from ..evaluation.network_builder import NetworkBuilder
from ..exporting.saved_model import SavedModel
from ..io import paths
from ..io.paths import Path
from ..io.user_error import UserError
from ..prediction.predictor import Predictor
from ..recipes.schema import Recipe
from . import exported_recipe, run_model
from .run_folder import RunFolder

# Function from views and sampling of a recipe to those of the prediction;
# None for one clip.
ChooseViews = Callable[
    [ViewsConfig | None, SamplingConfig | None], ViewsConfig | None
]


def middle_clip(
    views: ViewsConfig | None, sampling: SamplingConfig | None
) -> None:
    """Choose the middle clip."""
    del views, sampling


def load(path: str | Path, choose: ChooseViews = middle_clip) -> Predictor:
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
    preprocessing = _Preprocessing.of(recipe, run.path, choose)
    sampling, views = preprocessing.sampling, preprocessing.views
    if sampling is not None:
        view_options.check(views, sampling, info.multi_label)
        classifier = classifier.for_views(views, info.element_shape)

    return Predictor(
        path=run.path,
        classes=info.classes,
        decoder=recipe.data.decoder if recipe.data else "pyav",
        step=classifier.probabilities,
        **vars(preprocessing),
    )


def _of_saved_model(model: SavedModel, choose: ChooseViews) -> Predictor:
    recipe = exported_recipe.read(model.path)
    preprocessing = _Preprocessing.of(recipe, model.path, choose)
    sampling, views = preprocessing.sampling, preprocessing.views
    if recipe is not None and sampling is not None:
        side = views.crop_px if views.crops else None
        shape = (sampling.frames, side, side, 3)
        if not resized_network.accepts(model.input_shape, shape):
            raise UserError(
                f"{model.path} takes clips of shape {model.input_shape} only. "
                f"Expected views of that size. Received: {shape}; give "
                "--short-side and --crop, or --model with the run folder."
            )
        if NetworkBuilder(recipe.model.name, {}).has_windows:
            check_windows(sampling, views)
        multi_label = views.pool == "max" and not _is_softmax(model, sampling)
        view_options.check(views, sampling, multi_label)
    return Predictor(
        path=model.path,
        classes=model.classes,
        decoder="pyav",
        step=model.probabilities,
        **vars(preprocessing),
    )


@dataclasses.dataclass(frozen=True)
class _Preprocessing:
    """Arguments of `Predictor` that follow from the recipe."""

    sampling: SamplingConfig | None
    views: ViewsConfig
    chosen: bool
    limits: Limits
    dataset_name: str
    load_dataset: Callable[[], Dataset] | None

    @classmethod
    def of(cls, recipe: Recipe | None, path: Path, choose: ChooseViews):
        """Choose the views of a recipe's videos.

        Raises:
            UserError: views are chosen for a model without videos.
        """
        if recipe is None:
            sampling, name, load_dataset = None, "", None
        else:
            name = recipe.dataset
            has_videos = issubclass(DATASETS.get(name, object), VideoDataset)
            default = recipe.sampling or SamplingConfig()
            sampling = default if has_videos else None

            def load_dataset():
                return datasets.load(
                    recipe.dataset, recipe.data, recipe.sampling
                )

        chosen = choose(recipe.views, recipe.sampling) if recipe else None
        if chosen is not None and sampling is None:
            raise UserError(
                f"--views expects a model of videos. Received: {path}, which "
                "is not trained on videos."
            )
        views = chosen or (recipe.views if recipe else None)
        if views is None or (chosen is None and views.clips > 1):
            # Several clips take minutes per video: by request only.
            views = frame_sampling.middle(sampling or SamplingConfig())
        return cls(
            sampling=sampling,
            views=views,
            chosen=chosen is not None,
            limits=Limits.of(recipe.data if recipe else None),
            dataset_name=name,
            load_dataset=load_dataset,
        )


def check_windows(sampling: SamplingConfig, views: ViewsConfig) -> None:
    """Raise a UserError where evaluation would average over windows.

    A SavedModel averages over whole views, which is the same only for views of
    the training size.

    Args:
        sampling: of training clips.
        views: of a network with a fully convolutional head.
    """
    side = views.crop_px if views.crops else None
    if views.starts != "mmaction2" and side != sampling.crop_px:
        raise UserError(
            f"Evaluation of this network averages over windows of "
            f"{sampling.crop_px} px, a SavedModel over whole views. Expected "
            f"--crop {sampling.crop_px} or --model with the run folder. "
            f"Received: {scoring.describe_views(views)}"
        )


def _is_softmax(model: SavedModel, sampling: SamplingConfig) -> bool:
    """Return True if scores sum to 1, as for one label per video.

    A SavedModel does not store whether it is multi-label.
    """
    side = sampling.crop_px
    clip = np.zeros((1, sampling.frames, side, side, 3), np.uint8)
    return bool(abs(model.probabilities(clip).sum() - 1) < 1e-3)
