"""Values for the variables of a model, collected before any is assigned."""

import dataclasses

import numpy as np

from nonlocal_tf.checkpoints.errors import MismatchError
from nonlocal_tf.checkpoints.formats import Weight, to_keras_layout
from nonlocal_tf.checkpoints.read import ResNetCheckpoint


@dataclasses.dataclass
class AssignmentPlan:
    """Values for variables, by path.

    Attributes:
        checkpoint: the file's content.
        values: `{variable path: array}`.
        loaded: `{variable path: names in the file}`.
        inflated: paths of variables whose kernels were repeated in time.
        converted: paths of variables that have another form in the file.
        missing: `{variable path: its name in the file's format}`.
    """

    checkpoint: ResNetCheckpoint
    values: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    loaded: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    inflated: list[str] = dataclasses.field(default_factory=list)
    converted: list[str] = dataclasses.field(default_factory=list)
    missing: dict[str, str] = dataclasses.field(default_factory=dict)

    def lookup(self, weight: Weight) -> tuple[str, np.ndarray] | None:
        """Return a weight's name in the file and its array in Keras' layout."""
        file_format = self.checkpoint.format
        for name in file_format.names(weight):
            if name in self.checkpoint.arrays:
                array = self.checkpoint.arrays[name]
                return name, to_keras_layout(array, weight.role, file_format)
        return None

    def add_missing(self, path: str, weight: Weight | None) -> None:
        """Record a variable whose weight is not in the file."""
        names = self.checkpoint.format.names(weight) if weight else (path,)
        self.missing[path] = names[0] if names else "name"

    def add(self, path: str, array: np.ndarray, names: tuple[str, ...]) -> None:
        """Set the value of a variable, computed from arrays of the file."""
        self.values[path] = array
        self.loaded[path] = names

    def check_shape(
        self,
        name: str,
        path: str,
        shape: tuple[int, ...],
        expected: tuple[int, ...],
    ) -> None:
        """Compare an array's shape with that of a variable.

        Args:
            name: of the array in the file.
            path: of the variable.
            shape: of the array in Keras' layout.
            expected: shape of the variable.

        Raises:
            MismatchError: the shapes differ.
        """
        if shape != expected:
            stored = self.checkpoint.arrays[name].shape
            raise MismatchError(
                f"{self.checkpoint.path}: {name!r} has the shape {stored}. "
                f"Expected {expected} for {path!r}, in the order of Keras; "
                f"received {shape} in that order.",
                "Build the model of the file with from_checkpoint.",
            )
