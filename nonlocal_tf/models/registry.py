"""The table of models: `register_model`, `create_model`, `list_models`."""

import fnmatch
from collections.abc import Callable

import keras

from nonlocal_tf.choices import unknown

MODELS: dict[str, Callable[..., keras.Model]] = {}


def register_model(builder):
    """Function decorator: makes a builder known under its own name."""
    return add_model(builder.__name__, builder)


def add_model(name: str, builder):
    """Makes a builder known under a name."""
    if name in MODELS:
        raise ValueError(f"Model {name!r} exists already.")
    MODELS[name] = builder
    return builder


def create_model(name: str, **arguments) -> keras.Model:
    """Builds a registered model; its outputs are logits.

    Args:
        name: one of `list_models()`.
        **arguments: of that model's builder. All take `num_classes` and
            `clip_shape` (image networks: `image_shape`); networks with
            non-local blocks take `nonlocal_block`, a dict of arguments for
            `NonLocalBlock`.

    Raises:
        ValueError: no model has this name, or an argument has a bad value.
        TypeError: the model has no such argument.

    Example:

    >>> import nonlocal_tf as nl
    >>> model = nl.create_model("c2d_nl1_small", clip_shape=(8, 32, 32, 3))
    >>> model.output_shape
    (None, 10)
    """
    if name not in MODELS:
        raise ValueError(unknown("model", name, list_models()))
    return MODELS[name](**arguments)


def list_models(pattern: str = "*") -> list[str]:
    """Names of the registered models that match a shell pattern.

    >>> import nonlocal_tf as nl
    >>> nl.list_models("c2d_nl*")
    ['c2d_nl1_small']
    """
    return sorted(fnmatch.filter(MODELS, pattern))
