"""The shapes of what networks take."""

from collections.abc import Sequence
from typing import Any, Literal

from nonlocal_tf.choices import is_positive_integer

AXES = {
    "clips": "(time, height, width, channels)",
    "images": "(height, width, channels)",
}


def checked_shape(
    shape: Sequence[int | None],
    of: Literal["clips", "images"],
    smallest: tuple[int, ...] = (),
) -> tuple[int | None, ...]:
    """The shape of one clip or image, if it is one.

    Args:
        shape: without the batch; all but the channels may be None.
        of: "clips" or "images".
        smallest: what each size but the channels has to be at least.

    Raises:
        ValueError: it has other axes, its channels are unknown, or a size is
            too small.
    """
    axes = AXES[of]
    is_row = isinstance(shape, (tuple, list))
    sizes: tuple[Any, ...] = tuple(shape) if is_row else (shape,)
    if len(sizes) != axes.count(",") + 1 or sizes[-1] is None:
        raise ValueError(
            f"Expected the shape of {of} as {axes} with known channels. "
            f"Received: {sizes}"
        )
    wrong = [s for s in sizes if not (s is None or is_positive_integer(s))]
    if wrong:
        raise ValueError(
            f"Expected the sizes of {of} to be None or integers of at least 1. "
            f"Received: {sizes}"
        )
    if any(
        size is not None and size < least
        for size, least in zip(sizes, smallest, strict=False)
    ):
        raise ValueError(
            f"Expected {of} of at least {smallest}, without the channels, "
            f"which come last: {axes}. Received: {sizes}"
        )
    return sizes
