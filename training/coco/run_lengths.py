"""COCO's run lengths: of a mask's columns, how many pixels are off and on.

Files have them as a list, or as text with five bits a letter.
"""

import reprlib
from collections.abc import Sequence

import numpy as np

from ..io.json_text import whole_number

LETTER_0 = 48
MORE, SIGN, BITS = 0x20, 0x10, 0x1F
LONGEST = 35  # bits of a number: as many as an image can have pixels


def checked(mask: dict, size: tuple[int, int]) -> dict:
    """Run lengths with integers for numbers, if they fit an image.

    Args:
        mask: `{"size": [height, width], "counts": list or text}`.
        size: height and width of the image.

    Raises:
        ValueError: they do not.
    """
    sides = mask.get("size")
    if not isinstance(sides, list) or [*map(whole_number, sides)] != [*size]:
        raise ValueError(
            f"of a mask of {reprlib.repr(mask.get('size'))}, not {list(size)}"
        )
    counts = mask.get("counts")
    lengths = counts_of(counts)
    if isinstance(counts, list):
        counts = lengths
    if any(length < 0 for length in lengths):
        raise ValueError("a length is negative")
    if sum(lengths) != size[0] * size[1]:
        pixels = reprlib.repr(sum(lengths))
        raise ValueError(
            f"they are of {pixels} pixels, not {size[0] * size[1]}"
        )
    return {"size": list(size), "counts": counts}


def counts_of(counts: Sequence[int] | str | bytes | None) -> list[int]:
    """Run lengths as numbers.

    Raises:
        ValueError: they are neither a list of integers nor such a text.
    """
    if isinstance(counts, (str, bytes)):
        if isinstance(counts, str):
            foreign = [letter for letter in counts if not letter.isascii()]
            if foreign:
                raise ValueError(f"{foreign[0]!r} is no letter of them")
            counts = counts.encode()
        return _unpacked(counts)
    if isinstance(counts, list):
        if all(type(n) is int for n in counts):
            return counts
        numbers = [n for n in map(whole_number, counts) if n is not None]
        if len(numbers) == len(counts):
            return numbers
    raise ValueError("expected counts to be a list of integers or a text")


def _unpacked(text: bytes) -> list[int]:
    found: list[int] = []
    value = shift = 0
    for letter in text:
        bits = letter - LETTER_0
        if not 0 <= bits < 64:
            raise ValueError(f"{chr(letter)!r} is no letter of them")
        value |= (bits & BITS) << shift
        shift += 5
        if bits & MORE:
            if shift > LONGEST:
                raise ValueError("a number in the text is too long")
            continue
        if bits & SIGN:
            value -= 1 << shift
        # From the fourth on they are differences to the last but one.
        found.append(value + (found[-2] if len(found) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the text ends in the middle of a number")
    return found


def decode(mask: dict) -> np.ndarray:
    """A mask as bool `(height, width)`.

    Raises:
        ValueError: the lengths do not fit the mask's own size.
    """
    height, width = mask["size"]
    checked(mask, (height, width))
    counts = counts_of(mask["counts"])
    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return values.reshape(width, height).T


def encode(mask: np.ndarray) -> dict:
    """A bool mask `(height, width)` as run lengths in a list."""
    height, width = mask.shape
    flat = mask.T.reshape(-1)
    ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], ends, [len(flat)]])).tolist()
    if len(flat) and flat[0]:
        counts.insert(0, 0)
    return {"size": [height, width], "counts": counts}
