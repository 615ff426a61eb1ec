"""Evaluation of trained detectors: COCO's metrics on annotated images.

Classes are matched by name; by id, with a note, where not all have a name of
their own. The detector may know more classes than are annotated.

    RUN/tests/validation/
        metrics.json    metrics, and versions of the software

The folder is validation_DIGEST for other data of `--set`, and
annotations_DIGEST for that of `--annotations`.
"""

import argparse
import json

from ..coco import annotation_reader, coco_api, coco_evaluation, coco_scores
from ..coco.annotations import Annotations
from ..evaluation import AveragePrecision, score_parts
from ..io import atomic_files, outputs
from ..io.paths import Path
from ..io.user_error import UserError
from ..io.versions import versions
from ..recipes import overrides
from ..recipes.detection_schema import DetectionRecipe
from ..runs.run_folder import RunFolder
from . import detector_setup


def add_options(group: argparse._ArgumentGroup) -> None:
    """Add the options of an evaluation to a group."""
    group.add_argument(
        "--annotations",
        metavar="FILE",
        help="in COCO's format (default: those of the run's validation)",
    )
    group.add_argument(
        "--images",
        metavar="DIR",
        default=".",
        help="folder of the annotated images (default: .)",
    )
    group.add_argument(
        "--out",
        metavar="FILE",
        help="JSON file for the metrics (default: in tests/ of the run)",
    )


def run_command(options: argparse.Namespace) -> None:
    """Evaluate the detector of the options on annotated images."""
    if options.out:
        inputs = (options.annotations, options.workdir, options.weights)
        outputs.check(options.out, filter(None, inputs))
    elif options.workdir is not None:
        tests = RunFolder(options.workdir).path / "tests"
        atomic_files.check_writable_folder(tests)
    coco_api.require(masks=False)
    annotated = _annotations(options)
    print(annotated.summary(), flush=True)
    model = detector_setup.load(options.workdir, options.weights)
    config = model.detector.config
    for line in coco_scores.notes(annotated, model.categories, config):
        print(f"note: {line}")
    coco_api.require(masks=config.has_masks)
    scores = coco_evaluation.evaluate(
        model.detector,
        annotated,
        model.short_side_px,
        model.long_side_px,
        model.normalization,
        model.categories,
    )
    print(AveragePrecision(scores))
    if options.out:
        outputs.write_text(options.out, json.dumps(scores, indent=2) + "\n")
    elif options.workdir is not None:
        name = "annotations" if options.annotations else "validation"
        if options.annotations or options.set:
            name += f"_{atomic_files.sha256(annotated.path)[:8]}"
        run = RunFolder(options.workdir)
        path = write_metrics(run, name, scores, annotated.path)
        print(f"Metrics written to {path}")


def write_metrics(
    run: RunFolder, name: str, scores: dict[str, float], annotations: Path
) -> Path:
    """Write metrics to the folder of a test in a run; return their path.

    Args:
        run: the trained run.
        name: of the test.
        scores: COCO's metrics.
        annotations: file of the ground truth.
    """
    folder = run.path / "tests" / name
    atomic_files.check_inside(folder, run.path)
    metrics = {
        "annotations": annotations.name,
        **scores,
        "versions": versions(),
    }
    with atomic_files.locked(folder):
        path = folder / score_parts.METRICS
        atomic_files.write_text(path, json.dumps(metrics, indent=2))
    return path


def _annotations(options) -> Annotations:
    """Read the annotations of the options, or of the run's validation."""
    if options.set and (options.annotations or options.workdir is None):
        raise UserError(
            "--set goes with --workdir, and not with --annotations."
        )
    if options.annotations is not None:
        return annotation_reader.read(options.annotations, options.images)
    if options.workdir is None:
        raise UserError("Give --annotations FILE.json and --images DIR.")
    for setting in options.set:
        if not setting.startswith("data."):
            raise UserError(
                f"Expected --set data.FIELD=VALUE. Received: --set {setting}"
            )
    run = RunFolder(options.workdir)
    recipe = run.read_recipe(DetectionRecipe)
    data = overrides.override(recipe, options.set).data
    if data.validation is None:
        raise UserError(
            f"{options.workdir} has nothing to validate on. Give "
            "--annotations FILE.json and --images DIR."
        )
    folder = data.validation_images or data.images
    try:
        return annotation_reader.read(data.validation, folder)
    except UserError as error:
        raise UserError(
            f"{error} If they have moved, give --set data.validation=FILE and "
            "--set data.validation_images=DIR; for others --annotations and "
            "--images."
        ) from error
