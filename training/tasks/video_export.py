"""Export of trained video classification networks."""

from ..data import DATASETS, Dataset, datasets
from ..data.dataset_info import DatasetInfo
from ..data.sampling_config import SamplingConfig
from ..data.video_dataset import VideoDataset
from ..evaluation.classifier import Classifier
from ..exporting import (
    classifier_export,
    comparison,
    file_formats,
    inference_model,
    saved_model,
    saved_model_writer,
    version_folder,
)
from ..exporting.inference_model import InferenceModel
from ..io import outputs, paths
from ..io.paths import Path
from ..io.user_error import UserError
from ..recipes import overrides
from ..recipes.schema import Recipe
from ..runs import exported_recipe, model_description, provenance, run_model
from ..runs.run_folder import RunFolder


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
    check_out(out, run.read_recipe(Recipe))
    model, recipe, info = run_model.load_trained(run)

    classifier = Classifier(model, multi_label=info.multi_label)
    weights = run_model.weights_digest(model)
    return version_folder.write_version(
        out,
        f"{weights} {dtype} {saved_model_writer.FORMAT}",
        run.read_result(),
        check=lambda: check_out(out, recipe),
        write=lambda path: classifier_export.write_files(
            path,
            _served(run, classifier, recipe, info),
            model_description.describe(run, out.resolve().name),
            classifier,
            _examples(recipe, info),
            dtype,
            overrides.to_json(recipe),
        ),
    )


def export_file(run: RunFolder, path: Path, dtype: str) -> str:
    """Write one file instead of a SavedModel, and describe it."""
    written = outputs.Outputs(path.parent)
    for suffix in ("", file_formats.CLASSES, file_formats.LICENSE):
        written.check(path.name + suffix)
    model, recipe, info = run_model.load_trained(run)
    classifier = Classifier(model, multi_label=info.multi_label)
    exported = _served(run, classifier, recipe, info)
    examples = _examples(recipe, info)
    size, difference = file_formats.write(exported, path, examples, dtype)
    # In place of a model card.
    outputs.write_text(
        path.with_name(path.name + file_formats.LICENSE),
        provenance.licences(run.read_provenance()) + "\n",
    )
    megabytes = f"{size / 1e6:.1f} MB"
    return f"{path}: {megabytes}, {dtype}; its probabilities {difference}"


def _served(
    run: RunFolder, classifier: Classifier, recipe: Recipe, info: DatasetInfo
) -> InferenceModel:
    """Build the exported form of a run's network, with finite outputs."""
    sampling = recipe.sampling
    if sampling is None and _has_videos(recipe.dataset):
        sampling = SamplingConfig()
    served = inference_model.build(classifier, info, sampling, recipe.views)
    inference_model.check_finite(served, run.path)
    return served


def _has_videos(dataset: str) -> bool:
    return issubclass(DATASETS.get(dataset, object), VideoDataset)


def _examples(recipe: Recipe, info: DatasetInfo) -> comparison.Examples:
    """Choose validation examples, or noise if the data is not available."""
    dataset: Dataset | None
    try:
        dataset = datasets.load(recipe.dataset, recipe.data, recipe.sampling)
    except (UserError, OSError):
        dataset = None
    return comparison.validation_examples(dataset, info.element_shape)


def check_out(out: Path, recipe: Recipe) -> None:
    """Check a directory for versions of a recipe, without creating it.

    Raises:
        UserError: it cannot be written, is among the classes of the data, or
            holds versions of another recipe, which a server would replace by
            this one.
    """
    root = ""
    if recipe.dataset == "folder" and recipe.data:
        root = recipe.data.root
    classifier_export.check_out(out, root)
    for version in saved_model.versions(out):
        recipe_there = exported_recipe.read(version)
        if recipe_there is not None and recipe_there.name != recipe.name:
            raise UserError(
                f"{out} holds versions of recipe {recipe_there.name!r}, not "
                f"{recipe.name!r}. Give another directory."
            )
