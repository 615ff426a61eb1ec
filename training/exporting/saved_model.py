"""Find and run SavedModels of `nonlocal-tf export`.

    savedmodels/digits_nl/1/
        saved_model.pb, variables/
        assets/classes.txt           class names, one a line
        assets/clips.json            how clips are made of videos
        assets/recipe.json           recipe of the training, of a run
        assets.extra/source.json     accuracy, versions, digest of the weights

A version appears atomically. On object stores saved_model.pb is uploaded last;
a version without it is incomplete and ignored.
"""

import pathlib
import tempfile
from typing import Any

import numpy as np
import tensorflow as tf

from nonlocal_tf.choices import unknown

from ..evaluation import resized_network
from ..io import atomic_files, paths, quoting
from ..io.paths import Path
from ..io.user_error import UserError
from . import clip_description

SAVED_MODEL = "saved_model.pb"
ASSETS = "assets"
CLASSES = "classes.txt"
RECIPE = "recipe.json"
EXTRA = "assets.extra"
BLOCKS = "blocks.txt"
CATEGORIES = "categories.json"  # only of detectors
# Formats of single files, and how to write them.
FILES = {
    ".keras": "model.save(FILE)",
    ".h5": "model.save_weights(FILE)",
    ".tflite": "nonlocal-tf export --workdir DIR --out FILE",
    ".onnx": "nonlocal-tf export --workdir DIR --out FILE",
}
# Web servers do not list them.
LOADED = (
    SAVED_MODEL,
    "variables/variables.index",
    "variables/variables.data-00000-of-00001",
    f"{ASSETS}/{CLASSES}",
)
# Not in every version.
OPTIONAL = (clip_description.FILE, RECIPE, CATEGORIES)


def versions(out: Path) -> list[Path]:
    """List the versions in a directory, oldest first."""
    paths = [
        path
        for path in out.glob("*")
        if path.name.isdecimal()
        and atomic_files.is_whole(path, last=SAVED_MODEL)
    ]
    return sorted(paths, key=lambda path: int(path.name))


def check_out(out: Path) -> None:
    """Check a directory for new versions, without creating it.

    Raises:
        UserError: it cannot be written, or has another purpose.
    """
    suffix = out.suffix.lower()
    if suffix in FILES:
        raise UserError(
            "Expected a directory for versions of a SavedModel, such as "
            f"savedmodels/mine. Received: {out}; {suffix} files are written by "
            f"{FILES[suffix]}."
        )
    atomic_files.check_writable_folder(out)
    for name, kind in ((SAVED_MODEL, "version"), (RECIPE, "run folder")):
        if (out / name).is_file():
            raise UserError(
                f"Expected a directory that holds versions. Received: {out}, "
                f"which is a {kind}; give another directory."
            )


def find(path: str | Path) -> Path:
    """Return the directory with saved_model.pb: `path` or its newest version.

    Raises:
        UserError: there is none.
    """
    path = paths.as_path(path)
    if (path / SAVED_MODEL).is_file():
        return path
    for version in reversed(versions(path)):
        if (version / SAVED_MODEL).is_file():
            return version
    raise UserError(
        f"{path} is not a SavedModel: there is no saved_model.pb in it or in "
        f"a numbered version below it. {how_to_make(path)}"
    )


def how_to_make(path: Path) -> str:
    """Return advice on exporting, for a run folder with its command line."""
    recipe = path / "recipe.json"
    if not recipe.is_file():
        return "Make one with nonlocal-tf export."
    return (
        "This is a run folder: make one with nonlocal-tf export --workdir "
        f"{quoting.shell(path)} --out DIR"
    )


def is_detector(version: Path) -> bool:
    """Return whether a version is a detector."""
    return (version / ASSETS / CATEGORIES).is_file()


def _reason(error: Exception) -> str:
    """Shorten an error of a signature to its message, without graph nodes."""
    text = str(getattr(error, "message", error))
    text = text.rpartition("<stack traces unavailable>")[2]
    text = text.partition("[[{{node")[0].partition("[Condition ")[0]
    return " ".join(text.split())


def load(version: Path) -> Any:
    """Load a version; from a URL, through a local copy of its files."""
    if isinstance(version, pathlib.Path):
        return tf.saved_model.load(str(version))
    with tempfile.TemporaryDirectory() as folder:
        optional = [f"{ASSETS}/{name}" for name in OPTIONAL]
        names = [name for name in optional if (version / name).is_file()]
        for name in (*LOADED, *names):
            copy = pathlib.Path(folder) / name
            copy.parent.mkdir(exist_ok=True)
            (version / name).download(copy)
        return tf.saved_model.load(folder)


class SavedModel:
    """SavedModel of `nonlocal-tf export`, loaded.

    Args:
        path: a version, or a directory of versions (the newest is used).

    Attributes:
        path: of the version.
        classes: class names.
        input_name: "clips", or "images" of an image network.
        input_shape: of one clip, `(time, height, width, 3)`, None where any
            size is taken.
        input_shapes: the same of each signature that takes clips or images.
        signatures: TensorFlow functions by name.

    Raises:
        UserError: there is none, or `nonlocal-tf export` did not write it.
    """

    def __init__(self, path: str | Path):
        self.path = find(path)
        if is_detector(self.path):
            raise UserError(
                f"{self.path} is a SavedModel of a detector. Use it with "
                "nonlocal-tf predict, visualize, app or serve_config."
            )
        try:
            # The signatures need a reference to their module.
            self._module = load(self.path)
            self.signatures = self._module.signatures
            serve = self.signatures["serving_default"]
            (spec,) = serve.structured_input_signature[1].values()
            serve.structured_outputs["probabilities"]
        except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
            raise UserError(
                f"{self.path} cannot be loaded as a SavedModel of nonlocal-tf: "
                f"{error}"
            ) from error
        self.input_name = spec.name
        self.input_shape = tuple(spec.shape[1:])
        self.input_shapes = {
            name: tuple(specs[self.input_name].shape[1:])
            for name, signature in self.signatures.items()
            if self.input_name
            in (specs := signature.structured_input_signature[1])
        }
        names = self.path / ASSETS / CLASSES
        if not names.is_file():
            raise UserError(
                f"{self.path} has no class names ({ASSETS}/{CLASSES})."
            )
        self.classes = names.read_text("utf-8").splitlines()

    @property
    def blocks(self) -> tuple[str, ...]:
        """The non-local blocks of `attention`, from input to output.

        Empty for older SavedModels that do not list them.
        """
        path = self.path / EXTRA / BLOCKS
        if not path.is_file():
            return ()
        return tuple(path.read_text("utf-8").splitlines())

    def run(self, signature: str, **inputs) -> dict[str, np.ndarray]:
        """Run a signature and return its outputs by name.

        Raises:
            UserError: there is no such signature, or it refuses the inputs.
        """
        if signature not in self.signatures:
            raise UserError(unknown("signature", signature, self.signatures))
        try:
            tensors = {key: tf.constant(value) for key, value in inputs.items()}
            outputs = self.signatures[signature](**tensors)
        except (tf.errors.OpError, TypeError, ValueError) as error:
            raise UserError(f"{signature}: {_reason(error)}") from error
        return {key: value.numpy() for key, value in outputs.items()}

    def probabilities(
        self, pixels: np.ndarray, signature: str = "serving_default"
    ) -> np.ndarray:
        """Compute probabilities `(batch, classes)` of uint8 clips or images.

        Args:
            pixels: uint8 `(batch, ..., 3)`.
            signature: "serving_default" or "serve_views".

        Raises:
            UserError: the model does not take their shape or dtype.
        """
        shape, taken = pixels.shape[1:], self.input_shapes[signature]
        fits = resized_network.accepts(taken, shape)
        if not fits or pixels.dtype != np.uint8:
            raise UserError(
                f"This model takes uint8 pixels of shape {taken}. Received: "
                f"{pixels.dtype} {shape}"
            )
        outputs = self.run(signature, **{self.input_name: pixels})
        return outputs["probabilities"]
