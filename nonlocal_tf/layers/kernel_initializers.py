"""Initializers of the projections of a non-local block."""

from keras import initializers


def checked_initializer(
    argument: str, identifier: str | dict | initializers.Initializer
) -> initializers.Initializer:
    """Return a Keras initializer, which can be cloned and saved.

    Args:
        argument: name of the argument in the error message.
        identifier: as for `keras.initializers.get`.

    Raises:
        TypeError: None, any other callable or another value.
    """
    try:
        initializer = initializers.get(identifier)
    except ValueError:
        initializer = None
    if not isinstance(initializer, initializers.Initializer):
        raise TypeError(
            f"Expected `{argument}` to be the name of a Keras initializer or "
            "a keras.initializers.Initializer. "
            f"Received: {argument}={identifier!r}"
        )
    return initializer


def optional_initializer(
    argument: str, identifier: str | dict | initializers.Initializer | None
) -> initializers.Initializer | None:
    """Return None or an initializer, as `checked_initializer` does."""
    if identifier is None:
        return None
    return checked_initializer(argument, identifier)


def separate_initializer(
    initializer: initializers.Initializer, index: int
) -> initializers.Initializer:
    """Return an initializer that draws other numbers than `initializer`.

    An initializer draws the same numbers in every call. A clone draws new
    ones, or with a seed set by the user needs another seed.

    Args:
        initializer: initializer shared by several weights.
        index: number of the weight among them.
    """
    config = initializer.get_config()
    if isinstance(config.get("seed"), dict):
        return initializer  # a SeedGenerator advances itself
    if isinstance(config.get("seed"), int):
        config["seed"] += index
    return type(initializer).from_config(config)
