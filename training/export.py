"""Export a trained run as a SavedModel.

A SavedModel takes raw pixels or encoded frames; preprocessing is inside. Each
export is a numbered version in a directory, as TensorFlow Serving expects it.
`training.exporting` has what is in it (`saved_model`) and what it can be asked
(`signatures`). The newest version's model card is also the directory's.
"""

import json
import sys
from collections.abc import Sequence

from .exporting import (
    export_file,
    model_card,
    saved_model,
    saved_model_writer,
    served_model,
    stored_weights,
)
from .io import atomic_files, cli, json_text, outputs, quoting, remote
from .io.remote import Path
from .io.user_error import UserError
from .recipes.schema import Recipe
from .runs import provenance, run_model
from .runs.run_folder import RunFolder

EXAMPLE = (
    "nonlocal-tf export --workdir runs/digits_nl --out savedmodels/digits_nl"
)
SOURCE = "source.json"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `nonlocal-tf export`."""
    parser = cli.parser(
        "export",
        "Writes the latest checkpoint of a run as the next version of a "
        "SavedModel.\nWithout arguments: lists the runs.",
        EXAMPLE,
    )
    parser.add_argument("--workdir", metavar="DIR", help="run folder or URL")
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="directory that holds the versions, a path or a URL (s3://); or "
        "a file that ends in .tflite or .onnx, to be made instead",
    )
    stored_weights.add_option(parser)
    options, given = cli.parse(parser, arguments)
    if not given:
        print(cli.overview_of_runs(EXAMPLE))
        return
    if options.workdir is None or options.out is None:
        raise UserError("Give both --workdir DIR and --out DIR.")
    run, out = RunFolder(options.workdir), remote.as_path(options.out)
    if out.suffix.lower() in export_file.FORMATS:
        export_file.check(out, options.quantize)
        print(_export_file(run, out, options.quantize))
        return
    path = export_run(run, out, options.quantize)
    print(
        f"SavedModel: {path}\nServe it: nonlocal-tf serve_config "
        f"--model {quoting.shell(path.parent)}"
    )


def export_run(run: RunFolder, out: str | Path, dtype: str = "float32") -> Path:
    """Exports the latest checkpoint, unless the newest version has its weights.

    Args:
        run: the trained run.
        out: directory of versions, made if needed.
        dtype: of the weights as they are kept, of `stored_weights.DTYPES`.

    Returns:
        The version's directory.

    Raises:
        UserError: there is nothing to export or it cannot be written.
    """
    out = remote.as_path(out)
    check_out(out, run.read_recipe(Recipe))
    model, recipe, dataset = run_model.load_trained(run)
    weights = run_model.weights_digest(model)
    made_from = f"{weights} {dtype} {saved_model_writer.FORMAT}"
    with atomic_files.locked(out):
        check_out(out, recipe)  # other processes may have written meanwhile
        there = saved_model.versions(out)
        if there and _source(there[-1]) == made_from:
            _publish_card(there[-1], out)
            return there[-1]
        number = int(there[-1].name) + 1 if there else 1
        made = out / str(number)
        served = served_model.build(model, recipe, dataset)
        served_model.check_finite(served, run.path)
        with atomic_files.new_directory(made, saved_model.SAVED_MODEL) as path:
            saved_model_writer.write(served, path, dtype)
            source = {"made_from": made_from, "result": run.read_result()}
            atomic_files.write_text(
                path / saved_model.EXTRA / SOURCE, json.dumps(source, indent=2)
            )
            card = model_card.render(
                out.resolve().name, run, served, path, dtype, model
            )
            atomic_files.write_text(path / model_card.CARD, card)
        _publish_card(made, out)
    return made


def _export_file(run: RunFolder, path: Path, dtype: str) -> str:
    """Writes one file instead, and says what it is."""
    written = outputs.Outputs(path.parent)
    for suffix in ("", export_file.CLASSES, export_file.LICENSE):
        written.check(path.name + suffix)
    served = served_model.build(*run_model.load_trained(run))
    served_model.check_finite(served, run.path)
    size, far = export_file.write(served, path, dtype)
    # It has no card that could say so.
    outputs.write_text(
        path.with_name(path.name + export_file.LICENSE),
        provenance.licences(run.read_origins()) + "\n",
    )
    return f"{path}: {size / 1e6:.1f} MB, {dtype}; its probabilities {far}"


def _publish_card(version: Path, out: Path) -> None:
    """Makes a version's card that of the directory, if it has none of yours."""
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
    """Checks a directory for versions of a recipe; makes nothing.

    Raises:
        UserError: it cannot be one, is among the classes of the data, or holds
            versions of another recipe, which this one would replace for
            whoever serves it.
    """
    saved_model.check_out(out)
    if recipe.dataset == "folder" and recipe.data and recipe.data.root:
        root = remote.as_path(recipe.data.root)
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
        there = saved_model.read_recipe(version)
        if there is not None and there.name != recipe.name:
            raise UserError(
                f"{out} holds versions of recipe {there.name!r}, not "
                f"{recipe.name!r}. Give another directory."
            )


def _source(version: Path) -> str | None:
    """Which weights a version has, and in which dtype, if it says so."""
    try:
        text = (version / saved_model.EXTRA / SOURCE).read_bytes()
        return json_text.parse(text)["made_from"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not one of ours, or damaged: another weight for certain


if __name__ == "__main__":
    sys.exit(cli.run(main))
