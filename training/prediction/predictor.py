"""Score clips and videos with a trained model."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from ..data import Dataset, clip_files, frame_sampling
from ..data.clip_reader import VideoError
from ..data.dataset_info import LabelledExample
from ..data.sampling_config import SamplingConfig, ViewsConfig
from ..data.video_limits import Limits
from ..data.video_views import VideoViews
from ..evaluation import metrics, scoring
from ..evaluation.distributed_step import ScoreStep
from ..io.paths import Path
from ..io.user_error import UserError
from .video_inputs import Input

BATCH = 8  # views per forward pass
# Function from the views and sampling that a model comes with to the views of
# the prediction; None for one clip.
ChooseViews = Callable[
    [ViewsConfig | None, SamplingConfig | None], ViewsConfig | None
]


def centre_clip(
    views: ViewsConfig | None, sampling: SamplingConfig | None
) -> None:
    """Choose the centre clip, a `ChooseViews`."""
    del views, sampling


def choose_views(
    choose: ChooseViews,
    default: ViewsConfig | None,
    sampling: SamplingConfig | None,
    model: object,
) -> tuple[ViewsConfig, bool]:
    """Return the views of each video, and whether the user chose them.

    Several clips take minutes per video: by request only.

    Args:
        choose: gives the views that the user asks for.
        default: that the model is evaluated with, if known.
        sampling: of clips; None for a model that is not for videos.
        model: its name, for the error.

    Raises:
        UserError: views are chosen for a model that is not for videos.
    """
    chosen = choose(default, sampling)
    if chosen is not None:
        if sampling is None:
            raise UserError(
                f"views expects a model of videos. Received: {model}, which is "
                "not trained on videos."
            )
        return chosen, True
    if default is None or default.clips > 1:
        return frame_sampling.middle(sampling or SamplingConfig()), False
    return default, False


@dataclasses.dataclass(frozen=True)
class Predictor:
    """Model that scores views of videos.

    Attributes:
        path: of the SavedModel's version, or of the run; name of a Keras
            model.
        classes: class names.
        sampling: of the training clips; None for models without videos.
        decoder: as `DataConfig.decoder`.
        views: clips and crops of each video; unused without `sampling`.
        chosen: True for views that the user chose; else they are one clip, in
            the crops of the recipe's test.
        step: function from uint8 views to scores, float32 `(n, classes)`.
        limits: on reading a video.
        dataset_name: of the training data; "" if unknown.
        load_dataset: loads the training data.
    """

    path: Path | str
    classes: Sequence[str]
    sampling: SamplingConfig | None
    decoder: str
    views: ViewsConfig
    chosen: bool
    step: ScoreStep
    limits: Limits = Limits()
    dataset_name: str = ""
    load_dataset: Callable[[], Dataset] | None = None

    def open(self, path: str) -> VideoViews:
        """Open a video file.

        Raises:
            VideoError: it cannot be read.
            UserError: the model is not trained on videos.
        """
        if self.sampling is None:
            raise UserError(
                f"{self.path} is not trained on videos. Expected a clip as "
                f"{' or '.join(clip_files.FORMATS)}. Received: {path}"
            )
        return VideoViews(path, self.sampling, self.decoder, self.limits)

    def is_clip(self, source: Input) -> bool:
        """Return True for a file of pixels, used whole as one clip."""
        return clip_files.is_clip(source.path, videos=self.sampling is not None)

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
            return clip_files.read_clip(source.path)[None]
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

    def sample(self, split: str, index: int) -> tuple[LabelledExample, str]:
        """Return an example of the model's data set, and its name.

        Raises:
            UserError: there is no such example, or the data set is unknown.
        """
        if self.load_dataset is None:
            raise UserError(
                f"{self.path} has no assets/recipe.json, which names the data "
                "set; give a clip file instead."
            )
        example = self.load_dataset().example(split, index)
        return example, f"{self.dataset_name} {split} sample {index}"
