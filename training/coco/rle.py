"""COCO's run-length encoding (RLE) of masks, without pycocotools.

A mask in column order is runs of pixels that are off and on in turn. Files have
their lengths as a list, or compressed to text with five bits a character.

RLE of a file is checked here before pycocotools' C code reads it. Writing a
list needs no extra; `coco_api` does everything else.
"""

import reprlib
from typing import Any

import numpy as np

from ..io.json_text import whole_number

FIRST_CHARACTER = 48
CONTINUES, SIGN, VALUE = 0x20, 0x10, 0x1F  # bits of a character
MAX_BITS = 35  # of a number: as many as an image can have pixels


def check(rle: dict, size: tuple[int, int]) -> dict:
    """Check the RLE of a mask, and return it with integers for numbers.

    Args:
        rle: `{"size": [height, width], "counts": list or text}`.
        size: height and width of the image.

    Raises:
        ValueError: it is malformed, or does not fit the image.
    """
    sides = rle.get("size")
    if not isinstance(sides, list) or [*map(whole_number, sides)] != [*size]:
        raise ValueError(
            f"of a mask of {reprlib.repr(rle.get('size'))}, not {list(size)}"
        )
    counts: Any = rle.get("counts")
    if isinstance(counts, str):
        lengths = _decompress(counts)
    else:
        counts = lengths = _integers(counts)
    if any(length < 0 for length in lengths):
        raise ValueError("a length is negative")
    if sum(lengths) != size[0] * size[1]:
        pixels = reprlib.repr(sum(lengths))
        raise ValueError(f"expected {size[0] * size[1]} pixels, not {pixels}")
    return {"size": list(size), "counts": counts}


def encode(mask: np.ndarray) -> dict:
    """Encode a bool mask `(height, width)`, with lengths in a list."""
    height, width = mask.shape
    flat = mask.T.reshape(-1)
    ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], ends, [len(flat)]])).tolist()
    if len(flat) and flat[0]:
        counts.insert(0, 0)
    return {"size": [height, width], "counts": counts}


def _integers(counts: Any) -> list[int]:
    """Read run lengths from a list, also of floats such as 7.0."""
    if isinstance(counts, list):
        if all(type(n) is int for n in counts):
            return counts
        numbers = [n for n in map(whole_number, counts) if n is not None]
        if len(numbers) == len(counts):
            return numbers
    raise ValueError("expected counts to be a list of integers or a text")


def _decompress(text: str) -> list[int]:
    """Decompress run lengths as pycocotools' `rleFrString` does.

    Raises:
        ValueError: the text is malformed.
    """
    lengths: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - FIRST_CHARACTER
        if not 0 <= bits < 64:
            raise ValueError(f"{character!r} is an invalid character")
        value |= (bits & VALUE) << shift
        shift += 5
        if bits & CONTINUES:
            if shift > MAX_BITS:
                raise ValueError("a number in the text is too long")
            continue
        if bits & SIGN:
            value -= 1 << shift
        # From the fourth on, differences to the last but one.
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the text ends in the middle of a number")
    return lengths
