"""The SavedModels that export writes: finding, loading and asking them.

    savedmodels/digits_nl/1/
        saved_model.pb, variables/
        assets/classes.txt           class names, one a line
        assets/recipe.json           how it was trained
        assets.extra/source.json     accuracy, versions, and which weights

A version appears at once. On an object store, where no directory can, its
saved_model.pb is uploaded last, and a version without it does not count.
"""

import numpy as np
import tensorflow as tf

from nonlocal_tf.choices import unknown

from ..io import atomic_files, json_text, quoting, remote
from ..io.remote import Path
from ..io.user_error import UserError
from ..recipes import overrides, trusted_cache
from ..recipes.schema import Recipe

SAVED_MODEL = "saved_model.pb"
ASSETS = "assets"
CLASSES = "classes.txt"
RECIPE = "recipe.json"
EXTRA = "assets.extra"
BLOCKS = "blocks.txt"
CATEGORIES = "categories.json"  # of a detector alone
FILES = (".tflite", ".onnx")


def versions(out: Path) -> list[Path]:
    """The versions below a directory, oldest first."""
    found = [
        path
        for path in out.glob("*")
        if path.name.isdecimal()
        and atomic_files.is_whole(path, last=SAVED_MODEL)
    ]
    return sorted(found, key=lambda path: int(path.name))


def check_out(out: Path) -> None:
    """Checks a directory that versions will be written to; makes nothing.

    Raises:
        UserError: it cannot be one, or is something else.
    """
    if out.suffix.lower() in FILES:
        raise UserError(
            f"Expected a directory for a SavedModel. Received: {out}; "
            f"{' and '.join(FILES)} files of a trained run are made by "
            "nonlocal-tf export --workdir DIR --out FILE."
        )
    atomic_files.check_writable_folder(out)
    for name, kind in ((SAVED_MODEL, "version"), (RECIPE, "run folder")):
        if (out / name).is_file():
            raise UserError(
                f"Expected a directory that holds versions. Received: {out}, "
                f"which is a {kind}; give another directory."
            )


def find(path: str | Path) -> Path:
    """The directory with saved_model.pb: `path` or its newest version.

    Raises:
        UserError: there is none.
    """
    path = remote.as_path(path)
    if (path / SAVED_MODEL).is_file():
        return path
    for version in reversed(versions(path)):
        if (version / SAVED_MODEL).is_file():
            return version
    raise UserError(
        f"{path} is not a SavedModel: there is no saved_model.pb in it or in "
        f"a numbered version below it. {how_to_make(path)}"
        f"{remote.missing(path)}"
    )


def how_to_make(path: Path) -> str:
    """How to make a SavedModel, of the run in a folder if there is one."""
    recipe = path / "recipe.json"
    if not recipe.is_file():
        return "Make one with nonlocal-tf export."
    try:
        is_detector = "detector" in json_text.parse(recipe.read_bytes())
    except (ValueError, TypeError):
        is_detector = False
    export = "python -m training.detection.export"
    if not is_detector:
        export = "nonlocal-tf export"
    what = " of a detector" if is_detector else ""
    return (
        f"This is a run folder{what}: make one with "
        f"{export} --workdir {quoting.shell(path)} --out DIR"
    )


def is_detector(version: Path) -> bool:
    """Whether a version is of `training.detection.export`."""
    return (version / ASSETS / CATEGORIES).is_file()


def read_recipe(version: Path) -> Recipe | None:
    """What a SavedModel was trained with, if it says so."""
    path = version / ASSETS / RECIPE
    if not path.is_file():
        return None
    recipe = overrides.from_json(path.read_text("utf-8"))
    return trusted_cache.without_foreign_cache(recipe, path)


def _reason(error: Exception) -> str:
    """What a signature says is wrong, without where in the graph it is."""
    text = str(getattr(error, "message", error))
    text = text.rpartition("<stack traces unavailable>")[2]
    text = text.partition("[[{{node")[0].partition("[Condition ")[0]
    return " ".join(text.split())


class SavedModel:
    """A SavedModel of `training.export`, loaded.

    Args:
        path: a version, or a directory of versions (the newest is taken).

    Attributes:
        path: of the version.
        classes: their names.
        recipe: what it was trained with, if it says so.
        input_name: "clips", or "images" of an image network.
        input_shape: of one clip, `(time, height, width, 3)`, None where any
            size is taken.
        signatures: TensorFlow's functions, by name.

    Raises:
        UserError: there is none, or it is not one of ours.
    """

    def __init__(self, path: str | Path):
        self.path = find(path)
        if is_detector(self.path):
            raise UserError(
                f"{self.path} is a SavedModel of a detector: use python -m "
                "training.detection.predict with the run that it was exported "
                "from (--workdir), or serve it with nonlocal-tf serve_config."
            )
        try:
            # Kept: signatures die with the object that they belong to.
            self._module = tf.saved_model.load(str(self.path))
            self.signatures = self._module.signatures
            serve = self.signatures["serving_default"]
            (spec,) = serve.structured_input_signature[1].values()
            serve.structured_outputs["probabilities"]
        except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
            raise UserError(
                f"{self.path} cannot be loaded as one of our SavedModels: "
                f"{error}"
            ) from error
        self.input_name = spec.name
        self.input_shape = tuple(spec.shape[1:])
        names = self.path / ASSETS / CLASSES
        if not names.is_file():
            raise UserError(
                f"{self.path} has no class names ({ASSETS}/{CLASSES})."
            )
        self.classes = names.read_text("utf-8").splitlines()
        self.recipe = read_recipe(self.path)

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks that `attention` knows, from input to output.

        Empty where a SavedModel does not say, even if it has some.
        """
        path = self.path / EXTRA / BLOCKS
        if not path.is_file():
            return ()
        return tuple(path.read_text("utf-8").splitlines())

    def ask(self, signature: str, **inputs) -> dict[str, np.ndarray]:
        """The outputs of a signature, by name.

        Raises:
            UserError: there is no such signature, or it refuses the inputs.
        """
        if signature not in self.signatures:
            raise UserError(unknown("signature", signature, self.signatures))
        try:
            tensors = {key: tf.constant(of) for key, of in inputs.items()}
            outputs = self.signatures[signature](**tensors)
        except (tf.errors.OpError, TypeError, ValueError) as error:
            raise UserError(f"{signature}: {_reason(error)}") from error
        return {key: value.numpy() for key, value in outputs.items()}

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Probabilities `(batch, classes)` of uint8 clips, or images.

        Raises:
            UserError: their shape or dtype is not that of the model.
        """
        fits = len(pixels.shape) == len(self.input_shape) + 1 and all(
            of_model in (None, side)
            for of_model, side in zip(
                self.input_shape, pixels.shape[1:], strict=True
            )
        )
        if not fits or pixels.dtype != np.uint8:
            raise UserError(
                f"This model takes uint8 pixels of shape {self.input_shape}. "
                f"Received: {pixels.dtype} {pixels.shape[1:]}"
            )
        asked = self.ask("serving_default", **{self.input_name: pixels})
        return asked["probabilities"]
