"""Export of trained detectors, of runs or of published weights."""

import os

from ..coco.trained_detector import TrainedDetector
from ..exporting import (
    mask_rcnn_export,
    saved_model,
    version_folder,
)
from ..exporting.model_card import ModelDescription
from ..io import paths
from ..io.paths import Path
from ..io.user_error import UserError
from ..recipes import overrides
from ..recipes.detection_schema import DetectionRecipe
from ..runs import exported_recipe, model_description, provenance, run_model
from ..runs.provenance import WeightSource
from ..runs.run_folder import RunFolder
from . import detector_setup

# Version of the exported files; a new one makes a new export.
FORMAT = 1


def export_run(run: RunFolder, out: str | Path, dtype: str = "float32") -> Path:
    """Export the latest checkpoint, unless the newest version has its weights.

    Args:
        run: the trained run.
        out: directory of versions, created if needed.
        dtype: storage of the weights, of `quantization.DTYPES`.

    Returns:
        The version's directory.

    Raises:
        UserError: there is nothing to export or it cannot be written.
    """
    out = paths.as_path(out)
    recipe = run.read_recipe(DetectionRecipe)
    check_out(out, recipe)
    description = model_description.describe(run, out.resolve().name)
    detector = detector_setup.load_run(run.path)
    return export_detector(detector, out, dtype, recipe, description, run)


def export_detector(
    model: TrainedDetector,
    out: str | Path,
    dtype: str = "float32",
    recipe: DetectionRecipe | None = None,
    description: ModelDescription | None = None,
    run: RunFolder | None = None,
) -> Path:
    """Export a detector, unless the newest version has its weights.

    Args:
        model: the detector.
        out: directory of versions, created if needed.
        dtype: storage of the weights, of `quantization.DTYPES`.
        recipe: of its training, if known.
        description: for the card. Default: of published weights.
        run: that trained it, if any.

    Returns:
        The version's directory.

    Raises:
        UserError: it cannot be written.
    """
    out = paths.as_path(out)
    text = None if recipe is None else overrides.to_json(recipe)
    about = description or _published(model, out.resolve().name)
    weights = run_model.weights_digest(model.detector)
    return version_folder.write_version(
        out,
        f"{weights} {dtype} {FORMAT}",
        None if run is None else run.read_result(),
        check=lambda: check_out(out, recipe),
        write=lambda path: mask_rcnn_export.write_files(
            path, model, about, dtype, text
        ),
    )


def _published(model: TrainedDetector, name: str) -> ModelDescription:
    """Describe a detector of someone's file, trained on COCO."""
    file = os.path.basename(model.origin)
    sources = [WeightSource(file, model.weights_format or "")]
    return ModelDescription(
        name,
        f"a detector with the weights of {file}",
        "COCO",
        provenance.licences(sources),
    )


def check_out(out: Path, recipe: DetectionRecipe | None = None) -> None:
    """Check a directory for versions of a detector, without creating it.

    Raises:
        UserError: it cannot be written, or holds versions of a network of
            videos or of another recipe.
    """
    mask_rcnn_export.check_out(out)
    for version in saved_model.versions(out):
        before = exported_recipe.read(version)
        if recipe and before is not None and before.name != recipe.name:
            raise UserError(
                f"{out} holds versions of recipe {before.name!r}, not "
                f"{recipe.name!r}. Give another directory."
            )
