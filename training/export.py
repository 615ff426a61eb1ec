"""Writes a trained run as a SavedModel that needs none of our code.

A SavedModel takes raw pixels and gives probabilities; preprocessing is inside.
Each export is a numbered version in a directory, as TensorFlow Serving
expects it; `training.saved_model` has what is in it.
"""

import hashlib
import json
import logging
import pathlib
import sys
import tempfile
from collections.abc import Sequence

import keras
import tensorflow as tf

from nonlocal_tf import preprocess
from training import (
    cli,
    files,
    recipe_text,
    remote,
    run_model,
    saved_model,
)
from training.data import Dataset
from training.errors import UserError
from training.recipe import Recipe
from training.remote import Path
from training.run_folder import RunFolder
from training.url_path import UrlPath

EXAMPLE = (
    "python -m training.export --workdir runs/digits_nl "
    "--out savedmodels/digits_nl"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `python -m training.export`."""
    parser = cli.parser(
        "training.export",
        "Writes the latest checkpoint of a run as the next version of a "
        "SavedModel.\nWithout arguments: lists the runs.",
        EXAMPLE,
    )
    parser.add_argument("--workdir", metavar="DIR", help="run folder or URL")
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="holds the versions; a path or a URL (s3://)",
    )
    options, given = cli.parse(parser, arguments)
    if not given:
        print(cli.overview_of_runs(EXAMPLE))
        return
    if options.workdir is None or options.out is None:
        raise UserError("Give both --workdir DIR and --out DIR.")
    path = export_run(RunFolder(options.workdir), options.out)
    print(f"SavedModel: {path}\nServe it: {serve_command(path.parent)}")


def export_run(run: RunFolder, out: str | Path) -> Path:
    """Exports the latest checkpoint, unless the newest version has its weights.

    Args:
        run: the trained run.
        out: directory of versions, made if needed.

    Returns:
        The version's directory.

    Raises:
        UserError: there is nothing to export or it cannot be written.
    """
    out = remote.as_path(out)
    check_out(out, run.read_recipe())
    model, recipe, dataset = run_model.load_trained(run)
    weights = _digest(model)
    source = {"weights_sha256": weights, "result": run.read_result()}
    with files.locked(out):
        versions = saved_model.versions(out)
        if versions and _source(versions[-1]) == weights:
            return versions[-1]
        number = int(versions[-1].name) + 1 if versions else 1
        made = out / str(number)
        with files.new_directory(made, last=saved_model.SAVED_MODEL) as path:
            write_saved_model(model, recipe, dataset, path)
            extra = path / saved_model.EXTRA
            extra.mkdir()
            (extra / "source.json").write_text(json.dumps(source, indent=2))
    return made


def check_out(out: Path, recipe: Recipe) -> None:
    """Makes a directory for versions of a recipe, if needed.

    Raises:
        UserError: it holds versions of another recipe, which this one would
            replace for whoever serves it.
    """
    out.mkdir(parents=True, exist_ok=True)
    for version in saved_model.versions(out):
        there = saved_model.read_recipe(version)
        if there is not None and there.name != recipe.name:
            raise UserError(
                f"{out} holds versions of recipe {there.name!r}, not "
                f"{recipe.name!r}. Give another directory."
            )


def write_saved_model(
    model: keras.Model, recipe: Recipe, dataset: Dataset, path: pathlib.Path
) -> None:
    """Writes a model to raw pixels in, probabilities and class name out."""
    probabilities = tf.sigmoid if dataset.multi_label else tf.nn.softmax
    module = tf.Module()
    # The variables alone: the Keras model itself would bring our classes.
    module.weights = [variable.value for variable in model.variables]
    with tempfile.TemporaryDirectory() as scratch:
        names = pathlib.Path(scratch) / saved_model.CLASSES
        names.write_text("\n".join(dataset.classes) + "\n", "utf-8")
        told = pathlib.Path(scratch) / saved_model.RECIPE
        told.write_text(recipe_text.to_json(recipe), "utf-8")
        module.recipe = tf.saved_model.Asset(str(told))
        module.class_names = tf.saved_model.Asset(str(names))
        module.table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                module.class_names,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
            ),
            default_value="",
        )

        def serve(pixels):
            logits = model(preprocess.normalize(pixels), training=False)
            best = tf.argmax(logits, axis=-1)
            return {
                "probabilities": probabilities(logits),
                "class_name": module.table.lookup(best),
            }

        pixels = tf.TensorSpec(
            (None, *dataset.element_shape), tf.uint8, model.inputs[0].name
        )
        module.serve = tf.function(
            serve, input_signature=[pixels], autograph=False
        )
        try:
            with _quiet():
                tf.saved_model.save(
                    module, str(path), {"serving_default": module.serve}
                )
        except tf.errors.OpError as error:
            raise UserError(
                f"Could not write the SavedModel {path.parent}: {error.message}"
            ) from error


def serve_command(out: Path) -> str:
    """How to serve a directory of versions with TensorFlow Serving."""
    if isinstance(out, UrlPath):
        return f"copy {out} to a local directory (savedmodels/README.md)"
    out = out.resolve()
    return (
        f'docker run -p 8501:8501 -v "{out}:/models/{out.name}" '
        f"-e MODEL_NAME={out.name} tensorflow/serving"
    )


def _digest(model: keras.Model) -> str:
    """Names these weights; the optimizer's state does not count."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(weight.path.encode())
        digest.update(keras.ops.convert_to_numpy(weight).tobytes())
    return digest.hexdigest()


def _source(version: Path) -> str | None:
    """The digest of the weights a version was made from, if it says so."""
    try:
        text = (version / saved_model.EXTRA / "source.json").read_text("utf-8")
        return json.loads(text)["weights_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not one of ours, or damaged: another weight for certain


class _quiet:
    """Keeps TensorFlow from naming the scratch directory it writes to."""

    def __enter__(self):
        self._level = tf.get_logger().level
        tf.get_logger().setLevel(logging.WARNING)

    def __exit__(self, *error):
        tf.get_logger().setLevel(self._level)


if __name__ == "__main__":
    sys.exit(cli.run(main))
