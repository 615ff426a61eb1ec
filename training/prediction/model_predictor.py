"""Predict with a Keras model, and format predictions as dictionaries."""

import os
import warnings
from collections.abc import Sequence

import keras

from nonlocal_tf.preprocess import normalize

from ..data import Dataset, class_names, frame_sampling
from ..data.sampling_config import SamplingConfig, ViewsConfig
from ..data.video_limits import Limits
from ..evaluation import view_options
from ..evaluation.classifier import Classifier, Preprocess
from ..io.user_error import UserError
from . import predictions, video_inputs
from .prediction_output import top_classes
from .predictor import Predictor

Paths = str | os.PathLike | Sequence[str | os.PathLike]


def of_model(
    model: keras.Model,
    *,
    videos: Dataset | None = None,
    classes: Sequence[str] | None = None,
    sampling: SamplingConfig | None = None,
    views: str | ViewsConfig | None = None,
    preprocess: Preprocess | None = normalize,
    from_logits: bool | None = None,
) -> Predictor:
    """Make a predictor of a Keras model.

    Args:
        model: takes clips, and returns logits or probabilities.
        videos: data set that it is trained on, for `classes`, `sampling` and
            resource limits.
        classes: class names, in the order of the outputs.
        sampling: length, stride and size of clips.
        views: as for `evaluation.evaluate`.
        preprocess: likewise.
        from_logits: likewise.

    Raises:
        TypeError: classes are one string.
        UserError: classes or sampling are missing, or do not fit the model.
    """
    classes, sampling = _classes_and_sampling(videos, classes, sampling)
    classifier = Classifier(
        model,
        preprocess=preprocess,
        from_logits=from_logits,
        multi_label=videos is not None and videos.multi_label,
    )
    classifier.check_classes(classes)
    if sampling is None:
        if views is not None:
            raise UserError(
                "views expects a model of videos. Received: the generated "
                f"examples of {type(videos).__name__}"
            )
        resolved = frame_sampling.middle(SamplingConfig())
    else:
        resolved = view_options.resolve(views, sampling)
        view_options.check(resolved, sampling, classifier.multi_label)
        shape = (sampling.frames, sampling.crop_px, sampling.crop_px, 3)
        classifier = classifier.for_views(resolved, shape)
    return Predictor(
        path=model.name,
        classes=classes,
        sampling=sampling,
        decoder="pyav",
        views=resolved,
        chosen=views is not None,
        step=classifier.probabilities,
        limits=videos.limits if videos is not None else Limits(),
    )


def _classes_and_sampling(
    videos: Dataset | None,
    classes: Sequence[str] | None,
    sampling: SamplingConfig | None,
) -> tuple[Sequence[str], SamplingConfig | None]:
    if classes is not None:
        class_names.check_names(classes)
    if videos is not None:
        return classes or videos.classes, sampling or videos.sampling
    if classes is None or sampling is None:
        raise UserError(
            "A Keras model does not store its classes and clips. Give "
            "videos=data.load(...), the data set that it is trained on; or "
            "classes=[...] and sampling=data.SamplingConfig(frames=8, "
            "frame_stride=8, crop_px=224)."
        )
    return classes, sampling


def predict_paths(
    predictor: Predictor, inputs: Paths
) -> dict[str, float] | list[dict[str, float]]:
    """Predict files, as `{class: probability}` of each.

    Args:
        predictor: of videos.
        inputs: a path or URL, or several; folders stand for all videos below.

    Returns:
        For one file a dictionary, most probable class first; for several files
        and for a folder a list of them. An unreadable file among several gives
        an empty dictionary and a warning.

    Raises:
        TypeError: inputs are no paths.
        UserError: the only file cannot be read.
    """
    kind = type(inputs).__name__
    if is_one := isinstance(inputs, (str, os.PathLike)):
        inputs = [inputs]
    try:
        listed = [os.fspath(path) for path in inputs]
    except TypeError:
        raise TypeError(
            "Expected inputs as the path of a video, or several paths. "
            f"Received: a {kind}"
        ) from None
    sources = [
        source for path in listed for source in video_inputs.list_inputs([path])
    ]
    is_file = is_one and [source.path for source in sources] == listed
    rows: list[dict[str, float]] = []
    for result in predictions.predict(predictor, sources):
        if result.scores is None:
            if is_file:
                raise UserError(result.error_line)
            warnings.warn(result.error_line, stacklevel=2)
            rows.append({})
            continue
        scores = result.scores
        order = top_classes(scores, len(predictor.classes))
        rows.append({predictor.classes[i]: float(scores[i]) for i in order})
    return rows[0] if is_file else rows
