"""The operations of pickles: their arguments, and what they cost."""

import pickletools
import re
from typing import IO

from nonlocal_tf.checkpoints.errors import CheckpointError

# Longer whole numbers are no sizes, shapes or keys.
LONGEST_INTEGER = 64
# Bytes counted for an operation: what it makes, and its place on the stack.
COST = 96
COSTS = {
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), 160),
    **dict.fromkeys(("EMPTY_DICT", "DICT"), 256),
    **dict.fromkeys(("GLOBAL", "STACK_GLOBAL", "BINPERSID"), 512),
    **dict.fromkeys(("REDUCE", "NEWOBJ", "NEWOBJ_EX"), 512),
}
COST_OF_PAIR = 160
# Python keeps text with other letters than Latin-1's in up to four bytes a
# letter; long text is that of arrays, which has none.
LONGEST_WIDE_TEXT = 2**20
WIDE_UTF8 = re.compile(rb"[\xc4-\xff]")
WIDE_ESCAPES = re.compile(rb"\\u(?!00)|\\U(?!000000)")
# Operations that make text: how its bytes are read, and decoded.
TEXTS = {
    "UNICODE": (lambda file: file.readline()[:-1], "raw-unicode-escape"),
    "SHORT_BINUNICODE": (pickletools.read_bytes1, "utf-8"),
    "BINUNICODE": (pickletools.read_bytes4, "utf-8"),
    "BINUNICODE8": (pickletools.read_bytes8, "utf-8"),
}
ALL = {one.code.encode("latin-1"): one for one in pickletools.opcodes}
CONSTANTS = {
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
    "EMPTY_TUPLE": (),
}
LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *("FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}


def text(name: str, file: IO[bytes]) -> str:
    """Reads the text of an operation of `TEXTS`.

    Raises:
        CheckpointError: it would take far more memory than it has bytes.
    """
    read, encoding = TEXTS[name]
    content = read(file)
    if len(content) > LONGEST_WIDE_TEXT:
        wide = WIDE_UTF8 if encoding == "utf-8" else WIDE_ESCAPES
        if wide.search(content):
            raise CheckpointError(
                "The file has long text of other letters than Latin-1's, "
                "which weights do not need."
            )
    return content.decode(
        encoding, "surrogatepass" if encoding == "utf-8" else "strict"
    )


def literal(value: object) -> object:
    """Checks the argument of an operation of `LITERALS`.

    Raises:
        CheckpointError: it is a number larger than weights have.
    """
    if isinstance(value, int) and value.bit_length() > LONGEST_INTEGER * 8:
        raise CheckpointError("The file has a number with no end.")
    return bytes(value) if isinstance(value, bytearray) else value
