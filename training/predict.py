"""Predict classes of videos, or objects in images.

`predict` is for scripts, also as `nonlocal_tf.predict`; `main` is the command.
"""

import contextlib
import os
import sys
from collections.abc import Sequence

import keras

from nonlocal_tf.preprocess import normalize

from . import tasks
from .data import Dataset, clip_files
from .data.sampling_config import SamplingConfig, ViewsConfig
from .evaluation import view_options
from .evaluation.classifier import Preprocess
from .exporting import saved_model
from .io import cli, paths
from .io.user_error import UserError
from .prediction import model_predictor
from .prediction.model_predictor import Paths
from .runs import trained_predictor
from .runs.run_folder import RunFolder
from .tasks import Detection, VideoClassification, option_groups

EXAMPLE = "nonlocal-tf predict --model savedmodels/digits_nl --sample 0"


def predict(
    model: keras.Model | str | os.PathLike,
    inputs: Paths,
    *,
    videos: Dataset | None = None,
    classes: Sequence[str] | None = None,
    sampling: SamplingConfig | None = None,
    views: str | ViewsConfig | None = None,
    preprocess: Preprocess | None = normalize,
    from_logits: bool | None = None,
) -> dict[str, float] | list[dict[str, float]]:
    """Predict the classes of videos.

    Args:
        model: path or URL of a SavedModel or of a run folder, which know their
            classes and clips; or a Keras model that takes clips, `(batch, time,
            height, width, channels)`, and returns logits or probabilities.
        inputs: path or URL of a video (also a GIF, or a clip of uint8 RGB
            frames as .npy); several of them; or a folder, for all videos in it.
        videos: for a Keras model: the data set that it is trained on, which
            gives its classes and clips.
        classes: for a Keras model without `videos`: the class names.
        sampling: for a Keras model without `videos`: length, stride and size of
            its clips.
        views: clips and crops of each video, such as "10x3"; by default the
            centre clip. As for `evaluation.evaluate`.
        preprocess: for a Keras model: function from uint8 pixels to its input;
            None for a model that takes uint8 pixels.
        from_logits: for a Keras model: whether it returns logits. Default:
            told by its last layer.

    Returns:
        `{class: probability}`, most probable first; for several inputs, or a
        folder, a list of them. An unreadable video among several gives an empty
        dictionary and a warning.

    Raises:
        UserError: there is no such model, the only video cannot be read, or the
            model does not take such views.

    Example:

    >>> nl.predict("savedmodels/mine", "video.mp4")
    {'waving': 0.93, 'clapping': 0.07}
    >>> nl.predict(model, ["a.mp4", "b.mp4"], videos=videos, views="10x3")
    [{'waving': 0.93, 'clapping': 0.07}, {'clapping': 0.81, 'waving': 0.19}]
    """
    if isinstance(model, keras.Model):
        predictor = model_predictor.of_model(
            model,
            videos=videos,
            classes=classes,
            sampling=sampling,
            views=views,
            preprocess=preprocess,
            from_logits=from_logits,
        )
        return model_predictor.predict_paths(predictor, inputs)
    if not (videos is classes is sampling is from_logits is None):
        raise UserError(
            "videos, classes, sampling and from_logits are for a Keras model. "
            f"Received: the path {os.fspath(model)}, whose model stores them"
        )

    def choose(_, model_sampling):
        if views is None:
            return None
        return view_options.resolve(views, model_sampling or SamplingConfig())

    predictor = trained_predictor.load(os.fspath(model), choose)
    return model_predictor.predict_paths(predictor, inputs)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `nonlocal-tf predict`."""
    parser = cli.parser(
        "predict",
        "Predict the classes of videos, or the objects in images, with a "
        "SavedModel or\na trained run. Without arguments: list the "
        "SavedModels.",
        EXAMPLE,
    )
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="for a model of videos: videos (also GIFs), folders of them, or "
        "URLs, or clips of uint8 RGB frames: "
        f"{' or '.join(clip_files.FORMATS)}; for a detector: JPEG, PNG, BMP, "
        "WebP or GIF images, or folders of them",
    )
    parser.add_argument(
        "--model",
        metavar="DIR",
        help="a SavedModel, a directory of versions (the newest is used), or "
        "a run folder; a path or a URL",
    )
    option_groups.add_weights(parser)
    parser.add_argument(
        "--out",
        metavar="PATH",
        help="of videos: also write the predictions to a .json file (all "
        "scores) or a .csv file (the best classes); of images: folder for "
        "detections.json and the drawings (default: detections)",
    )
    groups = option_groups.add(parser, "add_predict_options")
    options, has_arguments = cli.parse(parser, arguments)
    if not has_arguments:
        marker = "[0-9]*/saved_model.pb"
        print(cli.overview("SavedModels", "savedmodels", marker, EXAMPLE))
        return
    if options.model is not None and options.weights is not None:
        raise UserError("Give either --model DIR or --weights FILE.")
    task = Detection() if options.weights else _task_of(options.model)
    option_groups.refuse_others(groups, options, task)
    task.predict(options)


def _task_of(model: str | None) -> tasks.Task:
    """Return the task of a run folder or a SavedModel."""
    if model is None:
        raise UserError("Give --model DIR, a SavedModel or a run folder.")
    path = paths.as_path(model)
    if (path / "recipe.json").is_file():
        return tasks.of_recipe(RunFolder(path).read_recipe())
    with contextlib.suppress(UserError):  # its task says what is missing
        if saved_model.is_detector(saved_model.find(path)):
            return Detection()
    return VideoClassification()


if __name__ == "__main__":
    sys.exit(cli.run(main))
