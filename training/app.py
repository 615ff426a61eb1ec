"""Apply a SavedModel to videos or images on a local web page.

    nonlocal-tf app --model savedmodels/videos

Drop a video to see its classes, overall and over time; click a point of a
frame to see which positions it attends to. With a detector, drop an image to
see its detections. The page is served on the loopback
interface only (other users of this machine can open it). Uploads are deleted
after use; those of a killed app are deleted by the next start.
"""

import functools
import sys
from collections.abc import Sequence

from .data import datasets
from .data.video_limits import Limits
from .exporting import clip_description, saved_model
from .exporting.loaded_detector import SavedDetector
from .exporting.saved_model import SavedModel
from .io import cli
from .io.user_error import UserError
from .loop import preemption
from .page import uploads
from .page.detector_session import DetectorSession
from .page.http_server import AppServer
from .page.page_session import PageSession
from .runs import exported_recipe
from .tasks import detector_prediction

EXAMPLE = "nonlocal-tf app --model savedmodels/digits_nl"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `nonlocal-tf app`."""
    options, has_arguments = _parse(arguments)
    if not has_arguments:
        marker = "[0-9]*/saved_model.pb"
        print(cli.overview("SavedModels", "savedmodels", marker, EXAMPLE))
        return
    if options.model is None:
        raise UserError("Give --model DIR, a SavedModel.")
    with serve(options.model, options.port, options.max_mb) as server:
        print(
            f"Showing {server.session.model.path}\n"
            f"Open {server.url} in a browser of this machine. Ctrl-C stops.",
            flush=True,
        )
        try:
            with preemption.sigterm.handled():
                server.serve_forever()
        except (KeyboardInterrupt, preemption.Preempted):
            print("Stopped.")
        finally:
            server.session.close()


def serve(model: str, port: int, max_mb: float) -> AppServer:
    """Create the server of a SavedModel without starting it.

    Args:
        model: a version, or a directory of versions.
        port: 0 for any free port.
        max_mb: maximum size of an uploaded file.
    """
    uploads.clear_leftovers()
    version = saved_model.find(model)
    session: PageSession | DetectorSession
    if saved_model.is_detector(version):
        detector = SavedDetector(version)
        threshold = detector_prediction.SHOWN_SCORE
        session = DetectorSession(detector, threshold)
    else:
        session = _session(SavedModel(version))
    return AppServer(session, port, int(max_mb * 2**20))


def _session(model: SavedModel) -> PageSession:
    """Create the session of a model with its sampling of clips."""
    recipe = exported_recipe.read(model.path)
    clips = clip_description.read(model.path)
    sampling = recipe.sampling if recipe else None
    if clips is not None:
        sampling = clips.sampling
    if recipe is None:
        return PageSession(model, sampling=sampling)
    is_synthetic = sampling is None
    load_dataset = functools.partial(
        datasets.load, recipe.dataset, recipe.data, recipe.sampling
    )
    return PageSession(
        model,
        sampling=sampling,
        limits=Limits.of(recipe.data),
        load_dataset=load_dataset if is_synthetic else None,
    )


def _parse(arguments: Sequence[str] | None):
    parser = cli.parser(
        "app",
        "Local web page: drop a video to see its classes and timeline; click "
        "a point to see\nwhich positions it attends to. With a detector: drop "
        "an image to see its\ndetections. Without arguments: list the "
        "SavedModels.",
        EXAMPLE,
    )
    parser.add_argument(
        "--model",
        metavar="DIR",
        help="a SavedModel, or a directory of versions (the newest is used); "
        "a path or a URL",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=8000,
        metavar="N",
        help="port of the page (default: 8000); 0 for any free port",
    )
    parser.add_argument(
        "--max-mb",
        type=cli.positive,
        default=200.0,
        metavar="MB",
        help="maximum size of an uploaded file (default: 200)",
    )
    return cli.parse(parser, arguments)


if __name__ == "__main__":
    sys.exit(cli.run(main))
