"""Export a trained run as a SavedModel.

A SavedModel takes raw pixels or encoded frames; preprocessing is inside. Each
export is a numbered version in a directory, as TensorFlow Serving expects it.
See `training.exporting.saved_model` for its files and
`training.exporting.signatures` for its signatures. The newest version's model
card is copied to the directory.
"""

import json
import sys
from collections.abc import Sequence

import keras

from .data import Dataset, datasets
from .data.datasets import DatasetInfo
from .exporting import (
    comparison,
    file_formats,
    inference_model,
    model_card,
    quantization,
    saved_model,
    saved_model_writer,
)
from .exporting.inference_model import InferenceModel
from .io import atomic_files, cli, json_text, outputs, paths, quoting
from .io.paths import Path
from .io.user_error import UserError
from .recipes import overrides
from .recipes.schema import Recipe
from .runs import exported_recipe, model_description, provenance, run_model
from .runs.run_folder import RunFolder

EXAMPLE = (
    "nonlocal-tf export --workdir runs/digits_nl --out savedmodels/digits_nl"
)
SOURCE = "source.json"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `nonlocal-tf export`."""
    parser = cli.parser(
        "export",
        "Export the latest checkpoint of a run as the next version of a "
        "SavedModel.\nWithout arguments: list the runs.",
        EXAMPLE,
    )
    parser.add_argument("--workdir", metavar="DIR", help="run folder or URL")
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="directory that holds the versions, a path or a URL (s3://); or "
        "a .tflite or .onnx file to write instead",
    )
    quantization.add_option(parser)
    options, given = cli.parse(parser, arguments)
    if not given:
        print(cli.overview_of_runs(EXAMPLE))
        return
    if options.workdir is None or options.out is None:
        raise UserError("Give both --workdir DIR and --out DIR.")
    run, out = RunFolder(options.workdir), paths.as_path(options.out)
    if out.suffix.lower() in file_formats.FORMATS:
        file_formats.check(out, options.quantize)
        print(_export_file(run, out, options.quantize))
        return
    path = export_run(run, out, options.quantize)
    print(
        f"SavedModel: {path}\nServe it: nonlocal-tf serve_config "
        f"--model {quoting.shell(path.parent)}"
    )


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
    weights = run_model.weights_digest(model)
    made_from = f"{weights} {dtype} {saved_model_writer.FORMAT}"
    with atomic_files.locked(out):
        check_out(out, recipe)  # other processes may have written meanwhile
        existing = saved_model.versions(out)
        if existing and _source(existing[-1]) == made_from:
            _publish_card(existing[-1], out)
            return existing[-1]
        number = int(existing[-1].name) + 1 if existing else 1
        version = out / str(number)
        served = _inference_model(model, recipe, info)
        inference_model.check_finite(served, run.path)
        with atomic_files.new_directory(
            version, saved_model.SAVED_MODEL
        ) as path:
            recipe_json = overrides.to_json(recipe)
            saved_model_writer.write(served, path, recipe_json, dtype)
            source = {"made_from": made_from, "result": run.read_result()}
            atomic_files.write_text(
                path / saved_model.EXTRA / SOURCE, json.dumps(source, indent=2)
            )
            card = model_card.render(
                model_description.describe(run, out.resolve().name),
                served,
                path,
                dtype,
                model,
                _examples(recipe, info),
            )
            atomic_files.write_text(path / model_card.CARD, card)
        _publish_card(version, out)
    return version


def _export_file(run: RunFolder, path: Path, dtype: str) -> str:
    """Write one file instead of a SavedModel, and describe it."""
    written = outputs.Outputs(path.parent)
    for suffix in ("", file_formats.CLASSES, file_formats.LICENSE):
        written.check(path.name + suffix)
    model, recipe, info = run_model.load_trained(run)
    served = _inference_model(model, recipe, info)
    inference_model.check_finite(served, run.path)
    examples = _examples(recipe, info)
    size, difference = file_formats.write(served, path, examples, dtype)
    # In place of a model card.
    outputs.write_text(
        path.with_name(path.name + file_formats.LICENSE),
        provenance.licences(run.read_provenance()) + "\n",
    )
    megabytes = f"{size / 1e6:.1f} MB"
    return f"{path}: {megabytes}, {dtype}; its probabilities {difference}"


def _inference_model(
    model: keras.Model, recipe: Recipe, info: DatasetInfo
) -> InferenceModel:
    builder = run_model.network_builder(recipe, info)
    return inference_model.build(
        model, builder, info, recipe.sampling, recipe.views
    )


def _examples(recipe: Recipe, info: DatasetInfo) -> comparison.Examples:
    """Choose validation examples, or noise if the data is not available."""
    dataset: Dataset | None
    try:
        dataset = datasets.load(recipe.dataset, recipe.data, recipe.sampling)
    except (UserError, OSError):
        dataset = None
    return comparison.validation_examples(dataset, info.element_shape)


def _publish_card(version: Path, out: Path) -> None:
    """Copy a version's card to the directory, unless a user wrote one there."""
    card, published = version / model_card.CARD, out / model_card.CARD
    if not card.is_file():
        return
    text = card.read_text("utf-8")
    cards = [path / model_card.CARD for path in saved_model.versions(out)]
    if published.exists() and published.read_bytes() not in [
        path.read_bytes() for path in cards if path.is_file()
    ]:
        print(f"note: {published} is not a card of a version here: it stays")
        return
    atomic_files.write_text(published, text)


def check_out(out: Path, recipe: Recipe) -> None:
    """Check a directory for versions of a recipe, without creating it.

    Raises:
        UserError: it cannot be written, is among the classes of the data, or
            holds versions of another recipe, which a server would replace by
            this one.
    """
    saved_model.check_out(out)
    if recipe.dataset == "folder" and recipe.data and recipe.data.root:
        root = paths.as_path(recipe.data.root)
        if outputs.is_within(out, root):
            raise UserError(
                f"{out} is in the folder of the videos, {root}, where every "
                "folder is a class. Give a directory outside of it."
            )
    if any(map(saved_model.is_detector, saved_model.versions(out))):
        raise UserError(
            f"{out} holds versions of a detector. Give another directory."
        )
    for version in saved_model.versions(out):
        recipe_there = exported_recipe.read(version)
        if recipe_there is not None and recipe_there.name != recipe.name:
            raise UserError(
                f"{out} holds versions of recipe {recipe_there.name!r}, not "
                f"{recipe.name!r}. Give another directory."
            )


def _source(version: Path) -> str | None:
    """Return digest and dtype of a version's weights, if recorded."""
    try:
        text = (version / saved_model.EXTRA / SOURCE).read_bytes()
        return json_text.parse(text)["made_from"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # of another program, or damaged


if __name__ == "__main__":
    sys.exit(cli.run(main))
