"""The shapes of what networks take."""

from nonlocal_tf.layers.positions import is_positive_integer

AXES = {
    "clips": "(time, height, width, channels)",
    "images": "(height, width, channels)",
}


def checked_shape(
    shape, of: str, smallest: tuple[int, ...] = ()
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
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    if len(shape) != axes.count(",") + 1 or shape[-1] is None:
        raise ValueError(
            f"Expected the shape of {of} as {axes} with known channels. "
            f"Received: {shape}"
        )
    wrong = [s for s in shape if not (s is None or is_positive_integer(s))]
    if wrong:
        raise ValueError(
            f"Expected the sizes of {of} to be None or integers of at least 1. "
            f"Received: {shape}"
        )
    if any(
        size is not None and size < least
        for size, least in zip(shape, smallest, strict=False)
    ):
        raise ValueError(
            f"Expected {of} of at least {smallest}, without the channels, "
            f"which come last: {axes}. Received: {shape}"
        )
    return shape
