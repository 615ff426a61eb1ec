"""Export a trained run as a SavedModel.

A SavedModel takes raw pixels or encoded images; preprocessing is inside. Each
export is a numbered version in a directory, as TensorFlow Serving expects it.
`training.exporting` documents the files and signatures: `saved_model` and
`signatures` of networks of videos, `saved_detector` of detectors. The newest
version's model card is copied to the directory. `saved_model` exports any Keras
model of clips, `detector` a Mask R-CNN.
"""

import sys
from collections.abc import Sequence

from . import tasks
from .coco import trained_detector
from .exporting import file_formats, quantization
from .exporting.classifier_export import saved_model
from .exporting.mask_rcnn_export import detector
from .io import cli, paths, quoting
from .io.user_error import UserError
from .runs.run_folder import RunFolder
from .tasks import detector_export, option_groups

__all__ = ["detector", "main", "saved_model"]

EXAMPLE = (
    "nonlocal-tf export --workdir runs/digits_nl --out savedmodels/digits_nl"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `nonlocal-tf export`."""
    parser = cli.parser(
        "export",
        "Export a run, its last epoch or its best (training.keep), as the next "
        "version of a\nSavedModel. Without arguments: list the runs.",
        EXAMPLE,
    )
    option_groups.add_sources(parser)
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="directory that holds the versions, a path or a URL (s3://); or, "
        "for networks of videos, a .tflite or .onnx file to write instead",
    )
    quantization.add_option(parser)
    options = cli.parse_or_list_runs(parser, arguments, EXAMPLE)
    if options is None:
        return
    option_groups.check_one_source(
        options,
        ("workdir", "weights"),
        "Give either --workdir DIR or --weights FILE.",
    )
    if options.out is None:
        raise UserError("Give --out DIR.")
    out, dtype = paths.as_path(options.out), options.quantize
    if options.weights is not None:
        detector_export.check_out(out)
        model = trained_detector.load_detector(options.weights)
        path = detector_export.export_detector(model, out, dtype)
    else:
        run = RunFolder(options.workdir)
        task = tasks.of_recipe(run.read_recipe())
        if out.suffix.lower() in file_formats.FORMATS:
            print(task.export_file(run, out, dtype))
            return
        path = task.export(run, out, dtype)
    print(
        f"SavedModel: {path}\nServe it: nonlocal-tf serve_config "
        f"--model {quoting.shell(path.parent)}"
    )


if __name__ == "__main__":
    sys.exit(cli.run(main))
