"""Predict classes of videos, or objects in images."""

import contextlib
import sys
from collections.abc import Sequence

from . import tasks
from .data import clip_files
from .exporting import saved_model
from .io import cli, paths
from .io.user_error import UserError
from .runs.run_folder import RunFolder
from .tasks import Detection, VideoClassification, option_groups

EXAMPLE = "nonlocal-tf predict --model savedmodels/digits_nl --sample 0"


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
