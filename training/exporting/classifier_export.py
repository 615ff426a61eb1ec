"""Export any Keras classifier of clips as a SavedModel."""

import pathlib
from collections.abc import Sequence

import keras

from nonlocal_tf.preprocess import normalize

from ..data import DATASETS, Dataset, class_names
from ..data.dataset_info import DatasetInfo
from ..data.folder import Folder
from ..data.sampling_config import SamplingConfig, ViewsConfig
from ..evaluation import view_options
from ..evaluation.classifier import Classifier, Preprocess
from ..io import outputs, paths
from ..io.paths import Path
from ..io.user_error import UserError
from . import (
    comparison,
    inference_model,
    model_card,
    saved_model_writer,
    version_folder,
)
from . import saved_model as saved_models
from .comparison import Examples
from .inference_model import InferenceModel
from .model_card import NO_LICENSE, ModelDescription

AUTHORS_LICENSE = (
    "**If they started from those of the paper's authors, this model is "
    "CC-BY-NC 4.0.**"
)


def saved_model(
    model: keras.Model,
    out: str | Path,
    videos: Dataset | None = None,
    *,
    classes: Sequence[str] | None = None,
    clip_shape: Sequence[int] | None = None,
    sampling: SamplingConfig | None = None,
    multi_label: bool = False,
    views: str | ViewsConfig | None = None,
    preprocess: Preprocess | None = normalize,
    from_logits: bool | None = None,
    name: str | None = None,
    description: str = "",
    license: str = "",
    dtype: str = "float32",
) -> Path:
    """Export a Keras model of clips as the next version of a SavedModel.

    The SavedModel takes raw pixels or encoded frames and loads with TensorFlow
    alone, in Python, C and TensorFlow Serving. `nonlocal-tf predict`, `app` and
    `serve_config` take it too. Its signatures:

    - `serving_default`: probabilities, class names and, if the model has them,
      logits of uint8 clips `(batch, time, height, width, 3)`;
    - `serve_frames`: classes of whole videos, given as JPEG or PNG frames; the
      mean over `views`;
    - `features`: input of the last layer with weights, unless it is the only;
    - `serve_views`: probabilities of views that are larger than training clips,
      for networks of `create_model` that evaluation applies in windows;
    - `attention`: attention maps of the non-local blocks, if there are any, in
      the models inside it too (see `nonlocal_tf.attention_map`).

    Sizes of clips are unknown, so that any may be requested, where the network
    can be built like that, else those of `model`. The model card (README.md)
    and warm-up requests are written beside them.

    Args:
        model: any Keras model that takes clips (or images) and returns logits
            or probabilities `(batch, classes)`; trained in any precision.
        out: directory of versions, a path or a URL, created if needed.
        videos: from `data.load`: gives the classes, the clips and examples that
            the outputs are compared on.
        classes: class names in the order of the outputs, in place of `videos`.
        clip_shape: shape of a training clip, `(time, height, width, 3)`, in
            place of `videos`. Default: that of the model's input.
        sampling: of the frames of a clip, in place of `videos`: without it the
            SavedModel takes clips but `predict` no video files.
        multi_label: whether a clip may have several labels, in place of
            `videos`; logits then become probabilities by sigmoids.
        views: clips and crops that a video's classes are averaged over: "10x3"
            or a `ViewsConfig`. Default: the authors' 10 x 3, in crops of the
            clips' size if the model takes no other.
        preprocess: function from uint8 pixels to the input of the model, of
            equal sizes, in Keras or TensorFlow operations; None for a model
            that takes uint8 pixels. It becomes part of the SavedModel.
        from_logits: whether the model returns logits. Default: told by its last
            layer.
        name: of the model on its card. Default: the name of `out`.
        description: one sentence on the model, for its card.
        license: sentences on the license of the weights, for its card. That of
            the authors' weights is CC-BY-NC 4.0.
        dtype: storage of the weights: "float32", "bfloat16" or "int8".

    Returns:
        The version's directory, such as savedmodels/mine/1.

    Raises:
        TypeError: `model`, `videos` or `classes` are of another type.
        ValueError: neither `videos` nor `classes` are given, or both; the shape
            of clips or `from_logits` is not known; the model is quantized.
        UserError: another number of classes than outputs, a class twice, views
            that the model does not take, outputs that are not finite, or a
            directory that cannot be written or has another purpose.

    Example:

    >>> export.saved_model(model, "savedmodels/mine", videos)
    >>> export.saved_model(
    ...     model, "savedmodels/mine", classes=["no", "yes"],
    ...     clip_shape=(8, 224, 224, 3),
    ... )
    """
    out = paths.as_path(out)
    root = videos.root if isinstance(videos, Folder) else ""
    check_out(out, root)
    if videos is None:
        info = _info(model, classes, clip_shape, multi_label)
    else:
        if classes is not None or clip_shape is not None or sampling:
            raise ValueError(
                "Expected `videos`, or `classes`, `clip_shape` and `sampling` "
                "in place of it. Received both."
            )
        if not isinstance(videos, Dataset):
            raise TypeError(
                "Expected videos from data.load. Received: a "
                f"{type(videos).__name__}"
            )
        info, sampling = videos.info, videos.sampling
    classifier = Classifier(
        model,
        preprocess=preprocess,
        from_logits=from_logits,
        multi_label=info.multi_label,
    )
    classifier.check_classes(info.classes)
    if views is not None:
        if sampling is None:
            raise ValueError(
                "Expected `videos` or `sampling` with `views`. Received: "
                f"views={views!r}"
            )
        views = view_options.resolve(views, sampling)
        view_options.check(views, sampling, info.multi_label)
    served = inference_model.build(classifier, info, sampling, views)
    about = ModelDescription(
        name=name or out.resolve().name,
        summary=description or f"Classifier of {served.input_name}",
        dataset=_dataset_name(videos),
        license=license or f"{NO_LICENSE} {AUTHORS_LICENSE}",
        sampling=sampling,
        made_by="export.saved_model",
    )
    inference_model.check_finite(served, about.name)
    examples = comparison.validation_examples(videos, info.element_shape)
    return version_folder.write_version(
        out,
        check=lambda: check_out(out, root),
        write=lambda path: write_files(
            path, served, about, classifier, examples, dtype
        ),
    )


def write_files(
    path: pathlib.Path,
    served: InferenceModel,
    description: ModelDescription,
    trained: Classifier,
    examples: Examples,
    dtype: str = "float32",
    recipe_json: str = "",
) -> str:
    """Write the files of a version, and return its model card.

    Args:
        path: directory of the version, empty.
        served: the exported network.
        description: of the model, for its card.
        trained: the network before the export, to compare outputs with.
        examples: to compare the outputs on.
        dtype: storage of the weights, of `quantization.DTYPES`.
        recipe_json: recipe of a training run, for assets/recipe.json.

    Raises:
        UserError: the files cannot be written.
    """
    saved_model_writer.write(served, path, recipe_json, dtype)
    return model_card.render(
        description, served, path, dtype, trained, examples
    )


def check_out(out: Path, root: str = "") -> None:
    """Check a directory for new versions of a classifier.

    Args:
        out: the directory.
        root: folder with the class folders of the videos, if any.

    Raises:
        UserError: it cannot be written, has another purpose, is among the
            classes of the videos, or holds versions of a detector.
    """
    saved_models.check_out(out)
    if root and outputs.is_within(out, paths.as_path(root)):
        raise UserError(
            f"{out} is in the folder of the videos, {root}, where every "
            "folder is a class. Give a directory outside of it."
        )
    if any(map(saved_models.is_detector, saved_models.versions(out))):
        raise UserError(
            f"{out} holds versions of a detector. Give another directory."
        )


def _info(
    model: keras.Model,
    classes: Sequence[str] | None,
    clip_shape: Sequence[int] | None,
    multi_label: bool,
) -> DatasetInfo:
    """Return what `videos` would tell."""
    if classes is None:
        raise ValueError(
            "Expected `videos` or `classes`, the class names in the order of "
            "the outputs. Received neither."
        )
    class_names.check_names(classes)
    own = getattr(model, "inputs", None)
    shape = tuple(clip_shape or (own[0].shape[1:] if own else ()))
    if len(shape) not in (3, 4) or None in shape:
        raise ValueError(
            "Expected `clip_shape` to be (time, height, width, 3), or (height, "
            f"width, 3) for images, with known sizes. Received: {shape}"
        )
    return DatasetInfo(tuple(map(str, classes)), shape, multi_label)


def _dataset_name(videos: Dataset | None) -> str:
    """Return the name of a registered data set; "" for none."""
    names = [name for name, kind in DATASETS.items() if type(videos) is kind]
    return names[0] if names else ""
