"""Opcodes of pickles: arguments, memory costs and limits."""

import pickletools
import re
from typing import IO

from nonlocal_tf.checkpoints.errors import CheckpointError

# Bytes; sizes, shapes and keys are shorter.
MAX_INTEGER_BYTES = 64
# Memory charged for an opcode: its result and its slot on the stack.
DEFAULT_COST = 96
COSTS = {
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), 160),
    **dict.fromkeys(("EMPTY_DICT", "DICT"), 256),
    **dict.fromkeys(("GLOBAL", "STACK_GLOBAL", "BINPERSID"), 512),
    **dict.fromkeys(("REDUCE", "NEWOBJ", "NEWOBJ_EX"), 512),
}
ITEM_COST = 160  # of a dictionary's item
# Python needs up to four bytes per letter for strings beyond Latin-1. Long
# strings are the bytes of arrays, which are Latin-1.
MAX_WIDE_STRING_BYTES = 2**20
WIDE_UTF8 = re.compile(rb"[\xc4-\xff]")
WIDE_ESCAPES = re.compile(rb"\\u(?!00)|\\U(?!000000)")
# Opcodes of strings: reader and encoding.
STRINGS = {
    "UNICODE": (lambda file: file.readline()[:-1], "raw-unicode-escape"),
    "SHORT_BINUNICODE": (pickletools.read_bytes1, "utf-8"),
    "BINUNICODE": (pickletools.read_bytes4, "utf-8"),
    "BINUNICODE8": (pickletools.read_bytes8, "utf-8"),
}
OPCODES = {op.code.encode("latin-1"): op for op in pickletools.opcodes}
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


def read_string(name: str, file: IO[bytes]) -> str:
    """Read the argument of an opcode in `STRINGS`.

    Raises:
        CheckpointError: its memory would far exceed its bytes in the file.
    """
    read, encoding = STRINGS[name]
    content = read(file)
    if len(content) > MAX_WIDE_STRING_BYTES:
        wide = WIDE_UTF8 if encoding == "utf-8" else WIDE_ESCAPES
        if wide.search(content):
            raise CheckpointError(
                "The file has a long string beyond Latin-1, which weights do "
                "not need."
            )
    return content.decode(
        encoding, "surrogatepass" if encoding == "utf-8" else "strict"
    )


def check_literal(value: object) -> object:
    """Return the argument of an opcode in `LITERALS`.

    Raises:
        CheckpointError: it is a number larger than weights need.
    """
    if isinstance(value, int) and value.bit_length() > MAX_INTEGER_BYTES * 8:
        raise CheckpointError("The file has an excessively large integer.")
    return bytes(value) if isinstance(value, bytearray) else value
