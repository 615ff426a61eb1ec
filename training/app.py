"""Open a local web page that shows predictions and attention maps.

    nonlocal-tf app --model savedmodels/videos

Drop a video to see its classes, overall and along its seconds; click a point
of a frame to see where the network looks from there. Nothing leaves the
machine, no other machine can open the page (other users of this one can, while
it runs), and what is dropped is not kept: of an app that is killed, the next
start deletes it.
"""

import sys
from collections.abc import Sequence

from .exporting.saved_model import SavedModel
from .io import cli
from .io.user_error import UserError
from .loop import preemption
from .page import app_upload
from .page.app_server import Server
from .page.app_session import Session

EXAMPLE = "nonlocal-tf app --model savedmodels/digits_nl"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `nonlocal-tf app`."""
    options, given = _parse(arguments)
    if not given:
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


def serve(model: str, port: int, max_mb: float) -> Server:
    """A server of a SavedModel, which does not run yet.

    Args:
        model: a version, or a directory of versions.
        port: 0 for any that is free.
        max_mb: of a file that is dropped.
    """
    app_upload.clear_leftovers()
    loaded = SavedModel(model)
    return Server(Session(loaded), port, int(max_mb * 2**20))


def _parse(arguments: Sequence[str] | None):
    parser = cli.parser(
        "app",
        "A page on this machine: drop a video, see its classes and its "
        "timeline, and\nclick to see where the network looks. Without "
        "arguments: lists the SavedModels.",
        EXAMPLE,
    )
    parser.add_argument(
        "--model",
        metavar="DIR",
        help="a SavedModel, or a directory of versions (the newest is taken); "
        "a path or a URL",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=8000,
        metavar="N",
        help="of the page (default: 8000); 0 for any that is free",
    )
    parser.add_argument(
        "--max-mb",
        type=cli.positive,
        default=200.0,
        metavar="MB",
        help="largest file that can be dropped (default: 200)",
    )
    return cli.parse(parser, arguments)


if __name__ == "__main__":
    sys.exit(cli.run(main))
