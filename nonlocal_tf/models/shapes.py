"""The shapes of what networks take."""

AXES = {
    "clips": "(time, height, width, channels)",
    "images": "(height, width, channels)",
}


def checked_shape(shape, of: str) -> tuple[int | None, ...]:
    """The shape of one clip or image, if it is one.

    Args:
        shape: without the batch; all but the channels may be None.
        of: "clips" or "images".

    Raises:
        ValueError: it has other axes, or its channels are unknown.
    """
    axes = AXES[of]
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    if len(shape) != axes.count(",") + 1 or shape[-1] is None:
        raise ValueError(
            f"Expected the shape of {of} as {axes} with known channels. "
            f"Received: {shape}"
        )
    return shape
