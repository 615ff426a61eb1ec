"""COCO's numbers of a trained detector, on annotated pictures.

Classes are matched by name; by id, with a note, where not all have a name of
their own. The detector may know more classes than are annotated.
"""

import json
import sys
from collections.abc import Sequence

from ..coco import annotation_reader, coco_api, coco_evaluation, coco_scores
from ..coco.annotations import Annotations
from ..io import cli, outputs, tables
from ..io.user_error import UserError
from ..recipes import overrides
from ..recipes.detection_schema import DetectionRecipe
from ..runs.run_folder import RunFolder
from . import predict

EXAMPLE = (
    "python -m training.detection.evaluate --workdir runs/small "
    "--annotations val.json --images val"
)
COLUMNS = ("AP", "AP50", "AP75", "APs", "APm", "APl")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `python -m training.detection.evaluate`."""
    parser = cli.parser(
        "detection.evaluate",
        "Tests a detector: average precision of boxes, masks and keypoints. "
        "Without arguments:\nlists the runs.",
        EXAMPLE,
    )
    predict.add_model(parser)
    parser.add_argument(
        "--annotations",
        metavar="FILE",
        help="in COCO's form (default: what the run validates on)",
    )
    parser.add_argument(
        "--images", metavar="DIR", default=".", help="that they are of"
    )
    parser.add_argument(
        "--set",
        metavar="data.FIELD=VALUE",
        action="append",
        default=[],
        help="with --workdir: where its images to validate on are now, such as "
        "data.validation=FILE and data.validation_images=DIR; repeatable",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="JSON file for the numbers"
    )
    options, given = cli.parse(parser, arguments)
    if not given:
        print(cli.overview_of_runs(EXAMPLE))
        return
    if options.out:
        read = (options.annotations, options.workdir, options.weights)
        outputs.check(options.out, filter(None, read))
    coco_api.require(masks=False)
    found = _annotations(options)
    print(found.summary(), flush=True)
    model = predict.load(options)
    config = model.detector.config
    for line in coco_scores.notes(found, model.categories, config):
        print(f"note: {line}")
    coco_api.require(masks=model.detector.config.has_masks)
    scores = coco_evaluation.evaluate(
        model.detector,
        found,
        model.short_side_px,
        model.long_side_px,
        model.normalization,
        model.categories,
    )
    print(render(scores))
    if options.out:
        outputs.write_text(options.out, json.dumps(scores, indent=2) + "\n")


def _annotations(options) -> Annotations:
    """Those of the options, or what the run validates on."""
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
                "A test takes --set data.FIELD=VALUE alone. Received: --set "
                f"{setting}"
            )
    run = RunFolder(options.workdir)
    chosen = run.read_recipe(DetectionRecipe)
    where = overrides.override(chosen, options.set).data
    if where.validation is None:
        raise UserError(
            f"{options.workdir} has nothing to validate on. Give "
            "--annotations FILE.json and --images DIR."
        )
    folder = where.validation_images or where.images
    try:
        return annotation_reader.read(where.validation, folder)
    except UserError as error:
        raise UserError(
            f"{error} Where they are now is said with --set "
            "data.validation=FILE and --set data.validation_images=DIR, "
            "others with --annotations and --images."
        ) from error


def render(scores: dict[str, float]) -> str:
    """The numbers as a table; "-" where there is nothing to find."""
    rows: list[tuple[str, ...]] = [("", *COLUMNS)]
    for kind in ("box", "mask", "keypoint"):
        if f"{kind}_AP" in scores:
            numbers = (scores.get(f"{kind}_{name}", -1.0) for name in COLUMNS)
            rows.append((kind, *map(coco_scores.format_ap, numbers)))
    return tables.render(rows)


if __name__ == "__main__":
    sys.exit(cli.run(main))
