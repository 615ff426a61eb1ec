"""Names the class of a clip, with an exported SavedModel."""

import sys
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from training import cli, export, recipe_text, remote, table
from training.data import clips, dataset_of
from training.errors import UserError
from training.recipe import Recipe
from training.remote import Path

EXAMPLE = "python -m training.predict --model savedmodels/digits_nl --sample 0"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `python -m training.predict`."""
    options, given = _parse(arguments)
    if not given:
        marker = "[0-9]*/saved_model.pb"
        print(cli.overview("SavedModels", "savedmodels", marker, EXAMPLE))
        return
    if options.model is None:
        raise UserError("Give --model DIR, a SavedModel.")
    if (options.clip is None) == (options.sample is None):
        raise UserError("Give either a clip file or --sample N.")
    if options.top < 1:
        raise UserError(f"Expected --top to be at least 1, not {options.top}.")
    path = find_saved_model(options.model)
    predictor = Predictor(path)
    if options.clip is not None:
        recipe = _recipe(path)
        pixels = clips.read_clip(
            options.clip, recipe.sampling if recipe else None
        )
        origin = options.clip
    else:
        example, origin = _sample(path, options.split, options.sample)
        pixels = example.pixels
        label = example.label
        origin += f", labelled {predictor.classes[label]}" if label >= 0 else ""
    probabilities = predictor(pixels)
    best = np.argsort(-probabilities, kind="stable")[: options.top]
    print(f"{origin}\nmodel {path}")
    rows = [("class", "probability")]
    rows += [(predictor.classes[i], f"{probabilities[i]:.4f}") for i in best]
    print(table.render(rows))
    if options.save_clip:
        clips.write_clip(options.save_clip, pixels)
        print(f"Clip written to {options.save_clip}")


class Predictor:
    """A SavedModel as a function from one clip to class probabilities.

    Attributes:
        classes: their names.
    """

    def __init__(self, path: Path):
        try:
            # Kept: the signature dies with the object it belongs to.
            self._module = tf.saved_model.load(str(path))
            self._serve = self._module.signatures["serving_default"]
            (self._input,) = self._serve.structured_input_signature[1].values()
            self._serve.structured_outputs["probabilities"]
        except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
            raise UserError(
                f"{path} cannot be loaded as one of our SavedModels: {error}"
            ) from error
        names = path / "assets" / "classes.txt"
        if not names.is_file():
            raise UserError(f"{path} has no class names (assets/classes.txt).")
        self.classes = names.read_text("utf-8").splitlines()

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Probabilities `(classes,)` of uint8 pixels."""
        expected = tuple(self._input.shape[1:])
        if pixels.shape != expected or pixels.dtype != np.uint8:
            raise UserError(
                f"This model takes uint8 pixels of shape {expected}. "
                f"Received: {pixels.dtype} {pixels.shape}"
            )
        outputs = self._serve(**{self._input.name: pixels[None]})
        return outputs["probabilities"].numpy()[0]


def find_saved_model(path: str | Path) -> Path:
    """The directory with saved_model.pb: `path` or its newest version.

    Raises:
        UserError: there is none.
    """
    path = remote.as_path(path)
    if (path / export.SAVED_MODEL).is_file():
        return path
    for version in reversed(export.numbered_versions(path)):
        if (version / export.SAVED_MODEL).is_file():
            return version
    raise UserError(
        f"{path} is not a SavedModel: there is no saved_model.pb in it or in "
        "a numbered version below it. Make one with python -m training.export."
        f"{remote.missing(path)}"
    )


def _recipe(path: Path) -> Recipe | None:
    """What a SavedModel was trained with, if it says so."""
    recipe_path = path / export.EXTRA / "recipe.json"
    if not recipe_path.is_file():
        return None
    return recipe_text.from_json(recipe_path.read_text("utf-8"))


def _sample(path: Path, split: str, index: int):
    recipe = _recipe(path)
    if recipe is None:
        raise UserError(
            f"{path} does not say on what it was trained "
            f"({export.EXTRA}/recipe.json); give a clip file instead."
        )
    example = dataset_of(recipe).example(split, index)
    return example, f"{recipe.dataset} {split} sample {index}"


def _parse(arguments: Sequence[str] | None):
    parser = cli.parser(
        "training.predict",
        "Classifies one clip with a SavedModel. Without arguments: lists the "
        "SavedModels.",
        EXAMPLE,
    )
    parser.add_argument(
        "clip",
        nargs="?",
        help="video, if the model was trained on videos; or clip file: "
        f"{' or '.join(clips.READERS)}, uint8 RGB frames",
    )
    parser.add_argument(
        "--model",
        metavar="DIR",
        help="a SavedModel, or a directory of versions (the newest is taken); "
        "a path or a URL",
    )
    parser.add_argument(
        "--sample",
        type=int,
        metavar="N",
        help="instead of a file: example N of the dataset it was trained on",
    )
    parser.add_argument(
        "--split",
        default="test",
        help='of the sample: "test" (default) or "validation"',
    )
    parser.add_argument(
        "--top", type=int, default=5, metavar="K", help="rows (default: 5)"
    )
    parser.add_argument(
        "--save-clip", metavar="FILE.npy", help="also write the pixels"
    )
    return cli.parse(parser, arguments)


if __name__ == "__main__":
    sys.exit(cli.run(main))
