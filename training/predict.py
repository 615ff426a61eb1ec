"""Names the class of a clip, with an exported SavedModel."""

import sys
from collections.abc import Sequence

import numpy as np

from training import cli, table
from training.data import clips, dataset_of
from training.errors import UserError
from training.saved_model import SavedModel

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
    model = SavedModel(options.model)
    if options.clip is not None:
        recipe = model.recipe
        pixels = clips.read_clip(
            options.clip, recipe.sampling if recipe else None
        )
        origin = options.clip
    else:
        example, origin = _sample(model, options.split, options.sample)
        pixels = example.pixels
        label = example.label
        origin += f", labelled {model.classes[label]}" if label >= 0 else ""
    (probabilities,) = model.probabilities(pixels[None])
    best = np.argsort(-probabilities, kind="stable")[: options.top]
    print(f"{origin}\nmodel {model.path}")
    rows = [("class", "probability")]
    rows += [(model.classes[i], f"{probabilities[i]:.4f}") for i in best]
    print(table.render(rows))
    if options.save_clip:
        clips.write_clip(options.save_clip, pixels)
        print(f"Clip written to {options.save_clip}")


def _sample(model: SavedModel, split: str, index: int):
    if model.recipe is None:
        raise UserError(
            f"{model.path} does not say on what it was trained "
            "(assets/recipe.json); give a clip file instead."
        )
    example = dataset_of(model.recipe).example(split, index)
    return example, f"{model.recipe.dataset} {split} sample {index}"


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
