"""Build a registered network again, with other input sizes or another head."""

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

import keras

from nonlocal_tf import models


@dataclasses.dataclass(frozen=True)
class NetworkBuilder:
    """A registered network and its arguments.

    Attributes:
        name: as in `nonlocal_tf.list_models()`.
        arguments: of `nonlocal_tf.create_model`.
        precision: Keras dtype policy.
    """

    name: str
    arguments: Mapping[str, Any]
    precision: str = "float32"

    @property
    def has_windows(self) -> bool:
        """True for networks with a fully convolutional head."""
        builder = models.registry.MODELS[self.name]
        return "crop_px" in inspect.signature(builder).parameters

    def for_inference(self) -> "NetworkBuilder":
        """Return a builder of the network in float32 on one device."""
        arguments = dict(self.arguments)
        arguments.pop("bn_synchronized", None)
        return dataclasses.replace(
            self, arguments=arguments, precision="float32"
        )

    def build(self, **changes: Any) -> keras.Model:
        """Build the network.

        Args:
            **changes: arguments of `nonlocal_tf.create_model` to replace.

        Raises:
            ValueError: an argument has a bad value.
            TypeError: the network has no such argument.
        """
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.precision)
        try:
            return models.create_model(
                self.name, **{**self.arguments, **changes}
            )
        finally:
            keras.config.set_dtype_policy(before)
