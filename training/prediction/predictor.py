"""Score clips and videos with a trained model, a SavedModel or a run."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from ..data import DATASETS, clips, datasets
from ..data import sampling as samples
from ..data.datasets import Example
from ..data.sampling_config import SamplingConfig, ViewsConfig
from ..data.sources import VideoError
from ..data.video_limits import Limits
from ..data.video_views import VideoViews
from ..data.videos import VideoDataset
from ..evaluation import metrics, scoring, view_network, view_options
from ..evaluation.view_network import ScoreStep
from ..exporting.saved_model import SavedModel
from ..io import remote
from ..io.remote import Path
from ..io.user_error import UserError
from ..recipes.schema import Recipe
from ..runs import run_model
from ..runs.run_folder import RunFolder
from .video_inputs import Input

BATCH = 8  # views per forward pass
# The views of a recipe's videos; None for one clip.
Choice = Callable[[Recipe], ViewsConfig | None]


def middle(recipe: Recipe) -> None:
    """Choose the middle clip."""
    del recipe


@dataclasses.dataclass(frozen=True)
class Predictor:
    """Model that scores views of videos.

    Attributes:
        path: of the SavedModel's version, or of the run.
        classes: class names.
        recipe: of the training; None if unknown.
        sampling: of the training clips; None for models without videos.
        decoder: as `DataConfig.decoder`.
        views: clips and crops of each video; unused without `sampling`.
        chosen: True for views that the user chose; else they are one clip, in
            the crops of the recipe's test.
        step: function from uint8 views to scores, float32 `(n, classes)`.
        limits: on reading a video.
    """

    path: Path
    classes: Sequence[str]
    recipe: Recipe | None
    sampling: SamplingConfig | None
    decoder: str
    views: ViewsConfig
    chosen: bool
    step: ScoreStep
    limits: Limits = Limits()

    def open(self, path: str) -> VideoViews:
        """Open a video file.

        Raises:
            VideoError: it cannot be read.
            UserError: the model is not trained on videos.
        """
        if self.sampling is None:
            raise UserError(
                f"{self.path} is not trained on videos. Expected a clip as "
                f"{' or '.join(clips.FORMATS)}. Received: {path}"
            )
        return VideoViews(path, self.sampling, self.decoder, self.limits)

    def is_clip(self, source: Input) -> bool:
        """Return True for a file of pixels, used whole as one clip."""
        return clips.is_clip(source.path, videos=self.sampling is not None)

    def read(self, source: Input) -> np.ndarray:
        """Read the views of a file, uint8 `(views, time, h, w, 3)`.

        Raises:
            VideoError: it cannot be read; the message is the reason.
        """
        if source.reason:
            raise VideoError(source.reason)
        if self.sampling is not None and not self.is_clip(source):
            return self.open(source.path).read(self.views)
        if self.chosen:
            raise VideoError("a clip file has no views: leave out --views")
        try:
            return clips.read_clip(source.path)[None]
        except UserError as error:
            raise VideoError(str(error)) from error

    def score(self, pixels: np.ndarray) -> np.ndarray:
        """Score the views of a file, float64 `(classes,)`.

        Args:
            pixels: uint8 views `(views, time, height, width, 3)`.

        Raises:
            UserError: the model does not take this shape.
        """
        batcher = scoring.ViewBatcher(self.step, BATCH)
        batcher.add(pixels)
        return self.pooled(batcher.finish()[None])[0]

    def pooled(self, scores: np.ndarray) -> np.ndarray:
        """Pool `(n, views, classes)` over the views to `(n, classes)`."""
        return metrics.pool_views(
            scores, self.views.pool if self.chosen else "mean"
        )

    def sample(self, split: str, index: int) -> tuple[Example, str]:
        """Return an example of the model's data set, and its name.

        Raises:
            UserError: there is no such example, or the data set is unknown.
        """
        if self.recipe is None:
            raise UserError(
                f"{self.path} has no assets/recipe.json, which names the data "
                "set; give a clip file instead."
            )
        example = datasets.load(
            self.recipe.dataset, self.recipe.data, self.recipe.sampling
        ).example(split, index)
        return example, f"{self.recipe.dataset} {split} sample {index}"


def load(path: str | Path, choose: Choice = middle) -> Predictor:
    """Load a SavedModel, or the latest checkpoint of a run.

    Args:
        path: a version of a SavedModel, a directory of versions, or a run
            folder; a path or a URL.
        choose: gives the views of each video.

    Raises:
        UserError: it is neither, or does not take such views.
    """
    path = remote.as_path(path)
    if (path / "recipe.json").is_file():
        return _of_run(RunFolder(path), choose)
    return _of_saved_model(SavedModel(path), choose)


def _of_run(run: RunFolder, choose: Choice) -> Predictor:
    """Build the network and the views of `training.evaluate`."""
    model, recipe, info = run_model.load_trained(run)
    sampling, views, chosen = _views(recipe, run.path, choose)
    if sampling is not None:
        view_options.check(views, sampling, info.multi_label)
        model = view_network.build_network(model, recipe, info, views)
    step = view_network.make_score_step(model, info.multi_label)
    shape = model.input_shape[1:]

    def checked(pixels):
        if not _fits(shape, pixels.shape[1:]):
            raise UserError(
                f"This run takes uint8 pixels of shape {shape}. Received: "
                f"{pixels.dtype} {pixels.shape[1:]}"
            )
        return step(pixels)

    return Predictor(
        path=run.path,
        classes=info.classes,
        recipe=recipe,
        sampling=sampling,
        decoder=recipe.data.decoder if recipe.data else "pyav",
        views=views,
        chosen=chosen,
        step=checked,
        limits=Limits.of(recipe.data),
    )


def _of_saved_model(model: SavedModel, choose: Choice) -> Predictor:
    recipe = model.recipe
    sampling, views, chosen = _views(recipe, model.path, choose)
    if recipe is not None and sampling is not None:
        side = views.crop_px if views.crops else None
        shape = (sampling.frames, side, side, 3)
        if not _fits(model.input_shape, shape):
            raise UserError(
                f"{model.path} takes clips of shape {model.input_shape} only. "
                f"Expected views of that size. Received: {shape}; give "
                "--short-side and --crop, or --model with the run folder."
            )
        _check_windows(recipe, sampling, views)
        multi_label = views.pool == "max" and not _is_softmax(model, sampling)
        view_options.check(views, sampling, multi_label)
    return Predictor(
        path=model.path,
        classes=model.classes,
        recipe=model.recipe,
        sampling=sampling,
        decoder="pyav",
        views=views,
        chosen=chosen,
        step=model.probabilities,
        limits=Limits.of(recipe.data if recipe else None),
    )


def _check_windows(
    recipe: Recipe, sampling: SamplingConfig, views: ViewsConfig
) -> None:
    """Raise a UserError where evaluation would average over windows.

    A SavedModel averages over whole views, which is the same only for views of
    the training size.
    """
    windows = view_network.has_windows(recipe)
    side = views.crop_px if views.crops else None
    if windows and views.starts != "mmaction2" and side != sampling.crop_px:
        raise UserError(
            f"Evaluation of this network averages over windows of "
            f"{sampling.crop_px} px, a SavedModel over whole views. Expected "
            f"--crop {sampling.crop_px} or --model with the run folder. "
            f"Received: {scoring.describe_views(views)}"
        )


def _views(recipe: Recipe | None, path: Path, choose: Choice):
    """Return (sampling, views, chosen) of a model."""
    of_videos = recipe is not None and issubclass(
        DATASETS.get(recipe.dataset, object), VideoDataset
    )
    chosen = choose(recipe) if recipe is not None else None
    if recipe is None or not of_videos:
        if chosen is not None:
            raise UserError(
                f"--views expects a model of videos. Received: {path}, which "
                "is not trained on videos."
            )
        return None, samples.middle(SamplingConfig()), False
    sampling = recipe.sampling or SamplingConfig()
    views = recipe.views
    if views is None or views.clips > 1:  # minutes per video: by request only
        views = samples.middle(sampling)
    return sampling, chosen or views, chosen is not None


def _fits(taken: tuple, shape: tuple) -> bool:
    """Return True if a model takes pixels of a shape; None is any size."""
    return len(taken) == len(shape) and all(
        of_model in (None, side)
        for of_model, side in zip(taken, shape, strict=True)
    )


def _is_softmax(model: SavedModel, sampling: SamplingConfig) -> bool:
    """Return True if scores sum to 1, as for one label per video.

    A SavedModel does not store whether it is multi-label.
    """
    side = sampling.crop_px
    clip = np.zeros((1, sampling.frames, side, side, 3), np.uint8)
    return bool(abs(model.probabilities(clip).sum() - 1) < 1e-3)
