"""Limits on a protocol buffer, checked before it is parsed.

Two bytes of a message may become an object of a hundred bytes, so the size of
a response alone does not limit the memory and time of parsing it.
"""

from collections.abc import Iterator, Mapping

# Fields with all those of messages inside. Packed numbers are one field.
MAX_FIELDS = 1 << 17
# Bytes of packed integers, each of which may become 8 bytes, twice.
MAX_INTEGERS = 1 << 24
INTEGERS = ("int32*", "int64*", "bool*")
VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5
FIXED_SIZES = {FIXED_64: 8, FIXED_32: 4}
Fields = Mapping[str, tuple[int, str]]


def check(messages: Mapping[str, Fields], name: str, content: bytes) -> None:
    """Check the number of fields in a message.

    Args:
        messages: as `serving_messages.MESSAGES`.
        name: of the message's type.
        content: its bytes.

    Raises:
        ValueError: there are too many, or it is no message.
    """
    fields_left = MAX_FIELDS
    pending = [(name, memoryview(content))]
    while pending:
        name, part = pending.pop()
        kinds = _kinds(messages, name)
        for number, inside in _fields(part):
            fields_left -= 1
            if fields_left < 0:
                raise ValueError(f"more than {MAX_FIELDS} fields")
            kind = kinds.get(number, "")
            if kind in INTEGERS and len(inside) > MAX_INTEGERS:
                raise ValueError(f"more than {MAX_INTEGERS} bytes of integers")
            if kind.endswith("{}") or kind.rstrip("*") in messages:
                pending.append((kind.rstrip("*"), inside))


def _kinds(messages: Mapping[str, Fields], name: str) -> dict[int, str]:
    """Return the types of fields by number; "X{}" is the entry of a map."""
    if name.endswith("{}"):
        return {1: "string", 2: name.removesuffix("{}")}
    return dict(messages[name].values())


def _fields(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and content of each field, b"" for single numbers."""
    place = 0
    while place < len(content):
        tag, place = _varint(content, place)
        wire_type = tag & 7
        size = FIXED_SIZES.get(wire_type, 0)
        if wire_type == VARINT:
            _, place = _varint(content, place)
        elif wire_type == BYTES:
            size, place = _varint(content, place)
        elif not size:
            raise ValueError(f"fields of the unsupported type {wire_type}")
        is_inside = wire_type == BYTES
        yield tag >> 3, content[place : place + size * is_inside]
        place += size


def _varint(content: memoryview, place: int) -> tuple[int, int]:
    """Read a number of 7 bits a byte; return it and the place behind it."""
    number = 0
    for shift in range(0, 70, 7):
        if place == len(content):
            break
        byte = content[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise ValueError("a number that is cut off or too long")
