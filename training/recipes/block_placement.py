"""Placement of non-local blocks, as text in a recipe."""

from ..io.user_error import UserError


def read(text: str) -> str | dict[str, tuple[int, ...]]:
    """Parse a placement for the argument `nonlocal_places` of networks.

    Args:
        text: one stage, such as "res4", or the residual blocks of each that a
            non-local block follows, counted from 0: "res3:1,3 res4:1,3,5".

    Raises:
        UserError: the text is neither.
    """
    if ":" not in text:
        return text
    places = {}
    for part in text.split():
        stage, _, blocks = part.partition(":")
        try:
            places[stage] = tuple(int(block) for block in blocks.split(","))
        except ValueError:
            raise UserError(
                "Expected places of blocks such as 'res4' or "
                f"'res3:1,3 res4:1,3,5'. Received: {text!r}"
            ) from None
    return places
