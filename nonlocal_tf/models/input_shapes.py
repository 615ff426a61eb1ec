"""Checks of the input shapes of networks."""

from collections.abc import Sequence
from typing import Any, Literal

from nonlocal_tf.choices import is_positive_integer

InputKind = Literal["clips", "images"]
AXES = {
    "clips": "(time, height, width, channels)",
    "images": "(height, width, channels)",
}


def checked_shape(
    shape: Sequence[int | None],
    kind: InputKind,
    min_sizes: tuple[int, ...] = (),
) -> tuple[int | None, ...]:
    """Check the shape of a clip or image, and return it as a tuple.

    Args:
        shape: shape without the batch; all but the channels may be None.
        kind: "clips" or "images".
        min_sizes: minimum of each size but the channels.

    Raises:
        ValueError: wrong number of axes, unknown channels, or too small.
    """
    axes = AXES[kind]
    is_row = isinstance(shape, (tuple, list))
    sizes: tuple[Any, ...] = tuple(shape) if is_row else (shape,)
    if len(sizes) != axes.count(",") + 1 or sizes[-1] is None:
        raise ValueError(
            f"Expected the shape of {kind} as {axes} with known channels. "
            f"Received: {sizes}"
        )
    invalid = [s for s in sizes if not (s is None or is_positive_integer(s))]
    if invalid:
        raise ValueError(
            f"Expected the sizes of {kind} to be None or integers of at least "
            f"1. Received: {sizes}"
        )
    if any(
        size is not None and size < minimum
        for size, minimum in zip(sizes, min_sizes, strict=False)
    ):
        raise ValueError(
            f"Expected {kind} of at least {min_sizes}, without the channels, "
            f"which come last: {axes}. Received: {sizes}"
        )
    return sizes
