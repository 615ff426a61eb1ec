"""Texts in the attributes of an HDF5 file, read without the HDF5 library.

The library trusts what a file says of them: a few bytes make it take gigabytes,
or read without end. Here each is a slice of the file.

Reference: HDF5 File Format Specification, III.E (global heap) and IV.A.2.m
    (attribute message).
"""

import math
import struct
from collections.abc import Iterator

from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.checkpoints.readers.pickles import Content

# Begins a heap of texts. Its size follows, and then each text, after a header
# of its own; 0 numbers what is free.
HEAP = b"GCOL\x01\0\0\0"
HEADER, WIDTH = 16, 8
ATTRIBUTE, CONTINUATION = 0x0C, 0x10
SHARED = 2  # a flag of messages that are elsewhere
MOST_TEXTS = 200_000
MOST_MESSAGES = 10_000
LONGEST = 2**16


class Texts:
    """The texts of a file.

    Args:
        content: of the file, whose objects have the layout of HDF5 1.6, as
            h5py and Keras write them.

    Raises:
        CheckpointError: it has another layout, or texts without end.
        ValueError: it is damaged.
    """

    def __init__(self, content: Content):
        self._content = content
        self._check_superblock()
        # Of each text, by the place of its heap and its number.
        self._places: dict[tuple[int, int], tuple[int, int]] = {}
        self._count = 0
        start = content.find(HEAP)
        while start >= 0:
            self._list_heap(start)
            start = content.find(HEAP, start + 1)

    def of_attribute(self, address: int, name: str) -> list[str]:
        """The texts that an object has in an attribute.

        Args:
            address: of the object in the file.
            name: of the attribute, whose type is text of any length.

        Raises:
            CheckpointError: they are too long, or stored in another way.
            ValueError: the file is damaged.
        """
        for message in self._attributes(address):
            if message.name == name:
                return list(self._texts(message))
        raise CheckpointError(
            f"The attribute {name!r} is stored as neither Keras nor h5py do."
        )

    def _unpack(self, layout: str, at: int) -> tuple:
        return struct.unpack_from(f"<{layout}", self._content, at)

    def _check_superblock(self) -> None:
        version = self._content[8]
        old = version < 2
        widths = self._content[13:15] if old else self._content[9:11]
        base = 12 if not old else 24 + 4 * version
        is_usual = widths == bytes((WIDTH, WIDTH))
        if not is_usual or self._unpack("Q", base) != (0,):
            raise ValueError("a layout that Keras' files do not have")

    def _list_heap(self, start: int) -> None:
        (length,) = self._unpack("Q", start + len(HEAP))
        at, end = start + HEADER, start + length
        while at + HEADER <= end:
            number, size = self._unpack("H6xQ", at)
            if number:
                self._places[start, number] = at + HEADER, size
                at += HEADER + -(-size // WIDTH) * WIDTH
            elif size < HEADER:
                raise ValueError("a list of texts without an end")
            else:
                at += size
            if at > end or end > len(self._content):
                raise ValueError("a list of texts that is cut off")
            self._count += 1
            if self._count > MOST_TEXTS:
                raise CheckpointError("The HDF5 file has texts without end.")

    def _attributes(self, address: int) -> Iterator["_Attribute"]:
        """All attributes of an object, from its header and what follows it."""
        version, size = self._unpack("B7xI", address)
        if version != 1:
            raise CheckpointError("The HDF5 file has objects of a new layout.")
        blocks = [(address + HEADER, size)]
        count = 0
        while blocks:
            at, size = blocks.pop(0)
            end = at + size
            while at + WIDTH <= end:
                kind, size, flags = self._unpack("HHB", at)
                at += WIDTH
                count += 1
                if count > MOST_MESSAGES:
                    raise CheckpointError("The file has a list without end.")
                if kind == CONTINUATION:
                    blocks.append(self._unpack("QQ", at))
                elif kind == ATTRIBUTE and not flags & SHARED:
                    yield _Attribute(self._content[at : at + size])
                at += size

    def _texts(self, message: "_Attribute") -> Iterator[str]:
        total = 0
        for length, heap, number in message.references():
            place, size = self._places.get((heap, number), (0, 0))
            if length > size:
                raise ValueError("a text that is cut off")
            total += length
            if length > LONGEST or total > LONGEST * WIDTH:
                raise CheckpointError(
                    f"The texts of {message.name!r} have no end."
                )
            text = self._content[place : place + length].rstrip(b"\0")
            yield text.decode("utf-8")


class _Attribute:
    """A message that an attribute is stored in.

    Args:
        content: of the message.
    """

    def __init__(self, content: bytes):
        version, name, kind, space = struct.unpack_from("<BxHHH", content)
        at = 9 if version == 3 else 8
        parts = []
        for size in (name, kind, space):
            parts.append(content[at : at + size])
            # The first version fills each part up.
            at += -(-size // WIDTH) * WIDTH if version == 1 else size
        self.name = parts[0].rstrip(b"\0").decode("utf-8")
        self._space, self._data = parts[2], content[at:]

    def references(self) -> Iterator[tuple[int, int, int]]:
        """(length, place of the heap, number) of each text."""
        version, rank = struct.unpack_from("<BB", self._space)
        at = 8 if version == 1 else 4
        count = math.prod(struct.unpack_from(f"<{rank}Q", self._space, at))
        if count * HEADER > len(self._data):
            raise ValueError("a list of texts that is cut off")
        for index in range(count):
            yield struct.unpack_from("<IQI", self._data, index * HEADER)
