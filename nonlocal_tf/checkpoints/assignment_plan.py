"""What a file has for the variables of a model."""

import dataclasses

import numpy as np

from nonlocal_tf.checkpoints.errors import MisfitError
from nonlocal_tf.checkpoints.formats import Weight, to_ours
from nonlocal_tf.checkpoints.read import Checkpoint


@dataclasses.dataclass
class Plan:
    """Values for variables, before any is assigned.

    Attributes:
        checkpoint: what was read.
        values: by the paths of variables.
        loaded: names in the file that each value is made of.
        inflated: paths of values that were repeated in time.
        converted: paths of values that the file has in another form.
        missing: by path, the name that the file would have.
    """

    checkpoint: Checkpoint
    values: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    loaded: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    inflated: list[str] = dataclasses.field(default_factory=list)
    converted: list[str] = dataclasses.field(default_factory=list)
    missing: dict[str, str] = dataclasses.field(default_factory=dict)

    def find(self, weight: Weight) -> tuple[str, np.ndarray] | None:
        """The name of a weight in the file, and its array in our layout."""
        form = self.checkpoint.form
        for name in form.names(weight):
            if name in self.checkpoint.arrays:
                array = self.checkpoint.arrays[name]
                return name, to_ours(array, weight.role, form)
        return None

    def miss(self, path: str, weight: Weight | None) -> None:
        """Notes what a variable would have been filled from."""
        names = self.checkpoint.form.names(weight) if weight else (path,)
        self.missing[path] = names[0] if names else "name"

    def take(
        self, path: str, array: np.ndarray, names: tuple[str, ...]
    ) -> None:
        """Fills a variable with an array that is made of these names."""
        self.values[path] = array
        self.loaded[path] = names

    def check_shape(
        self,
        name: str,
        path: str,
        shape: tuple[int, ...],
        expected: tuple[int, ...],
    ) -> None:
        """Whether an array of the file fits a variable.

        Args:
            name: of the array.
            path: of the variable.
            shape: of the array in our layout.
            expected: of the variable.

        Raises:
            MisfitError: it does not.
        """
        if shape != expected:
            given = self.checkpoint.arrays[name].shape
            raise MisfitError(
                f"{self.checkpoint.path}: {name!r} has the shape {given}. "
                f"Expected {expected} for {path!r}, in the order of Keras; "
                f"received {shape} in that order.",
                "Build the model of the file with from_checkpoint.",
            )
