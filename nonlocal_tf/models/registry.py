"""Registry of models: `register_model`, `create_model`, `list_models`."""

import fnmatch
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import keras

from nonlocal_tf.choices import check_arguments, unknown
from nonlocal_tf.layers.data_format import check_channels_last

BuilderT = TypeVar("BuilderT", bound=Callable[..., keras.Model])
MODELS: dict[str, Callable[..., keras.Model]] = {}


def register_model(builder: BuilderT) -> BuilderT:
    """Function decorator that registers a builder under its own name."""
    return add_model(builder.__name__, builder)


def add_model(name: str, builder: BuilderT) -> BuilderT:
    """Register a builder under a name."""
    if name in MODELS:
        raise ValueError(f"Model {name!r} exists already.")
    MODELS[name] = builder
    return builder


def create_model(name: str, **arguments: Any) -> keras.Model:
    """Build a registered model with initial weights.

    Args:
        name: name in `list_models()`.
        **arguments: arguments of the model's builder; the most common are
            described in `nonlocal_tf.create_model`.

    Returns:
        A functional model.

    Raises:
        ValueError: unknown model, an invalid value of an argument, or Keras
            is set to channels first.
        TypeError: unknown argument.
    """
    check(name, arguments)
    return MODELS[name](**arguments)


def check(name: str, arguments: Iterable[str]) -> None:
    """Check the name of a model and the names of arguments of its builder.

    Raises:
        ValueError: unknown model, or Keras is set to channels first.
        TypeError: unknown argument.
    """
    if name not in MODELS:
        raise ValueError(unknown("model", name, list_models()))
    check_arguments(name, MODELS[name], arguments)
    check_channels_last()


def list_models(pattern: str = "*") -> list[str]:
    """List the registered models whose names match a shell pattern.

    Args:
        pattern: shell-style pattern, such as "i3d_*".

    Example:

    >>> import nonlocal_tf as nl
    >>> nl.list_models("i3d_nl5_*")
    ['i3d_nl5_r101', 'i3d_nl5_r50']
    """
    return sorted(fnmatch.filter(MODELS, pattern))
