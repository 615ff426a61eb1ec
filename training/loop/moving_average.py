"""Exponential moving average (EMA) of weights."""

import keras
import tensorflow as tf


class WeightAverage:
    """Exponential moving average of variables, in float32.

    Args:
        variables: trainable variables of Keras.
        decay: share of the old average that remains at each update.

    Attributes:
        variables: the averages.
        is_swapped: whether averages and variables are exchanged.
    """

    def __init__(self, variables, decay: float):
        self._averaged = [variable.value for variable in variables]
        self._decay = decay
        self.variables = [
            tf.Variable(tf.convert_to_tensor(value), trainable=False)
            for value in self._averaged
        ]
        self.is_swapped = False

    def update(self, strategy) -> None:
        """Update the averages after a step, in cross-replica context."""

        def move(average, new):
            average.assign_add((1 - self._decay) * (new - average))

        for average, new in zip(self.variables, self._averaged, strict=True):
            strategy.extended.update(average, move, args=(new,))

    def set(self, values) -> None:
        """Replace the averages by values."""
        for average, value in zip(self.variables, values, strict=True):
            average.assign(keras.ops.convert_to_numpy(value))

    def swap(self) -> None:
        """Exchange the averages and the variables."""
        for average, own in zip(self.variables, self._averaged, strict=True):
            before = own.numpy()
            own.assign(average.numpy())
            average.assign(before)
        self.is_swapped = not self.is_swapped

    def apply(self) -> None:
        """Replace the variables by their averages."""
        for average, own in zip(self.variables, self._averaged, strict=True):
            own.assign(average.numpy())
