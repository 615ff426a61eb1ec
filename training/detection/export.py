"""Writes a trained detector as a SavedModel that needs none of our code.

It takes the bytes of pictures: `python -m pydoc
training.exporting.saved_detector` has the signatures. Each export is a
numbered version in a directory, as TensorFlow Serving expects it.
"""

import sys
from collections.abc import Sequence

from ..coco.trained_detector import TrainedDetector
from ..exporting import quantization, saved_detector, saved_model
from ..io import atomic_files, cli, paths, quoting
from ..io.paths import Path
from ..io.user_error import UserError
from . import predict

EXAMPLE = (
    "python -m training.detection.export --workdir runs/small "
    "--out savedmodels/small"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `python -m training.detection.export`."""
    parser = cli.parser(
        "detection.export",
        "Writes a detector as the next version of a SavedModel. Without "
        "arguments: lists the runs.",
        EXAMPLE,
    )
    predict.add_model(parser)
    parser.add_argument(
        "--out", metavar="DIR", help="directory that holds the versions"
    )
    quantization.add_option(parser)
    options, given = cli.parse(parser, arguments)
    if not given:
        print(cli.overview_of_runs(EXAMPLE))
        return
    if options.out is None:
        raise UserError("Give --out DIR.")
    out = paths.as_path(options.out)
    check_out(out)
    path = export(predict.load(options), out, options.quantize)
    print(
        f"SavedModel: {path}\nServe it: nonlocal-tf serve_config "
        f"--model {quoting.shell(path.parent)}"
    )


def export(model: TrainedDetector, out: Path, dtype: str = "float32") -> Path:
    """Writes the next version.

    Args:
        model: the detector.
        out: directory of versions, made if needed.
        dtype: of the weights as they are kept, of `quantization.DTYPES`.

    Returns:
        The version's directory.

    Raises:
        UserError: it cannot be written.
    """
    check_out(out)
    model.check_finite()
    with atomic_files.locked(out):
        there = saved_model.versions(out)
        number = int(there[-1].name) + 1 if there else 1
        made = out / str(number)
        with atomic_files.new_directory(made, saved_model.SAVED_MODEL) as path:
            saved_detector.write(model, path, dtype)
    return made


def check_out(out: Path) -> None:
    """Checks a directory for versions of a detector; makes nothing.

    Raises:
        UserError: it cannot be one, or holds versions of another kind.
    """
    saved_model.check_out(out)
    if not all(map(saved_model.is_detector, saved_model.versions(out))):
        raise UserError(
            f"{out} holds versions that are no detectors. Give another "
            "directory."
        )


if __name__ == "__main__":
    sys.exit(cli.run(main))
