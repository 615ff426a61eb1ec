"""Evaluate a Keras model on the videos of a data set."""

import contextlib
import dataclasses
import functools
from typing import Any

import keras

from nonlocal_tf.choices import is_positive_integer
from nonlocal_tf.preprocess import normalize

from ..data import Dataset
from ..data.data_config import check_split
from ..data.sampling_config import ViewsConfig
from ..data.video_dataset import VideoDataset
from ..io.user_error import UserError
from . import (
    class_metrics,
    distributed_step,
    scoring,
    video_scores,
    view_options,
)
from .class_metrics import ClassMetrics
from .classifier import Classifier, FixedSizeError, Preprocess
from .score_parts import Parts
from .video_scores import VideoScores

BATCH = 8


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Result of an evaluation; `str()` is a table of its metrics and classes.

    Attributes:
        scores: probabilities of each view of each video, with the labels.
    """

    scores: VideoScores

    @functools.cached_property
    def metrics(self) -> dict[str, Any]:
        """Metrics by name, as shares from 0 to 1.

        `accuracy`, `top5` (of more than five classes), `mean_class_accuracy`
        and `loss`; with several labels per video `mean_average_precision`
        instead of the accuracies; and the number of videos `read` and `listed`.

        Raises:
            UserError: no video could be read, or scores are not finite.
        """
        return video_scores.compute_metrics(self.scores)

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy; mean average precision of multi-label data."""
        multi_label = self.scores.multi_label
        name = "mean_average_precision" if multi_label else "accuracy"
        return self.metrics[name]

    @functools.cached_property
    def classes(self) -> list[ClassMetrics]:
        """Support, precision and recall of each class, by its label."""
        return class_metrics.class_metrics(self.scores)

    def __str__(self) -> str:
        tables = video_scores.render(self.metrics)
        return f"{tables}\n{class_metrics.render(self.classes)}".rstrip()


def evaluate(
    model: keras.Model,
    videos: Dataset,
    split: str = "test",
    *,
    views: str | ViewsConfig | None = None,
    batch_size: int = BATCH,
    preprocess: Preprocess | None = normalize,
    from_logits: bool | None = None,
    parts: Parts | None = None,
) -> Evaluation:
    """Score each video of a split, and compute metrics.

    The probabilities of the views of a video are averaged. The scores do not
    depend on the batch size. In the scope of a strategy, or with several GPUs,
    the devices share the views of a batch.

    Args:
        model: any Keras model that takes clips, `(batch, time, height, width,
            channels)`, and returns logits or probabilities `(batch, classes)`.
        videos: from `data.load`.
        split: "test" or "validation".
        views: clips and crops of each video. Default: the centre clip, as in
            validation. "10x3" is the protocol of the authors' code, 10 clips
            with 3 crops, as large as the short side of frames in validation.
            An `evaluation.ViewsConfig` sets sizes, whole frames, starts and
            pooling. For views of another size than the clips of the model, its
            network is built again for their size.
        batch_size: views per forward pass.
        preprocess: function from uint8 pixels `(batch, time, height, width,
            3)` to the input of the model, in Keras or TensorFlow operations;
            None for a model that takes uint8 pixels.
        from_logits: whether the model returns logits. Default: told by its last
            layer.
        parts: storage of partial scores, to resume an interrupted evaluation.

    Returns:
        An `Evaluation`: `metrics`, `accuracy`, `classes`, `scores`, and
        tables as text.

    Raises:
        UserError: invalid views; videos without labels; another number of
            classes; or a network that takes clips of its own size only.
        TypeError: `model` or `videos` are of another type.
        ValueError: `from_logits` is needed.

    Example:

    >>> result = evaluation.evaluate(model, videos, views="10x3")
    >>> result.accuracy
    0.75
    >>> print(result)
    """
    check_split(split)
    if not isinstance(videos, Dataset):
        raise TypeError(
            "Expected videos from data.load. Received: a "
            f"{type(videos).__name__}"
        )
    if not is_positive_integer(batch_size):
        raise UserError(
            "Expected batch_size as an integer above 0. "
            f"Received: {batch_size!r}"
        )
    classifier = Classifier(
        model,
        preprocess=preprocess,
        from_logits=from_logits,
        multi_label=videos.multi_label,
    )
    classifier.check_classes(videos.classes)
    resolved = resolve_views(views, videos)
    if resolved is None or not isinstance(videos, VideoDataset):
        return Evaluation(
            scoring.score_examples(classifier.probabilities, videos, split)
        )
    step = _view_step(classifier, videos, resolved)
    return Evaluation(
        scoring.score_videos(step, videos, split, resolved, batch_size, parts)
    )


def resolve_views(
    views: str | ViewsConfig | None, videos: Dataset
) -> ViewsConfig | None:
    """Return the views of `evaluate`; None for generated examples.

    Raises:
        UserError: the views do not go together, or with the data set.
    """
    if not isinstance(videos, VideoDataset):
        if views is not None:
            raise UserError(
                "views expects a data set of videos. Received: views="
                f"{views!r} for the generated examples of "
                f"{type(videos).__name__}"
            )
        return None
    resolved = view_options.resolve(views, videos.sampling)
    view_options.check(resolved, videos.sampling, videos.multi_label)
    return resolved


def _view_step(
    classifier: Classifier, videos: VideoDataset, views: ViewsConfig
) -> distributed_step.ScoreStep:
    """Build the network of the views, on all devices if it can be copied."""
    strategy = distributed_step.default_strategy()
    is_on_devices = distributed_step.is_on_devices(classifier.model, strategy)
    with strategy.scope(), contextlib.suppress(FixedSizeError):
        network = classifier.for_views(
            views, videos.element_shape, copy=not is_on_devices
        )
        if distributed_step.is_on_devices(network.model, strategy):
            return network.score_step(strategy)
    return classifier.for_views(views, videos.element_shape).score_step()
