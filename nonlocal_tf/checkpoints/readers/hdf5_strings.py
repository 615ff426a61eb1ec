"""String attributes of HDF5 files, read without the HDF5 library.

The library trusts the file: a few bytes can make it allocate gigabytes, or
read endlessly. Here every string is a slice of the file.

Reference: HDF5 File Format Specification, III.E (global heap) and IV.A.2.m
    (attribute message).
"""

import math
import struct
from collections.abc import Iterator

from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.typing import FileContent

# Signature of a global heap. Its size follows, then objects with a header and
# an index each; index 0 is free space.
HEAP_SIGNATURE = b"GCOL\x01\0\0\0"
HEADER_BYTES, ALIGNMENT = 16, 8
ATTRIBUTE, CONTINUATION = 0x0C, 0x10  # message types
SHARED_FLAG = 2  # of messages that are stored elsewhere
MAX_STRINGS = 200_000
MAX_MESSAGES = 10_000
MAX_LENGTH = 2**16


class StringTable:
    """Strings in the global heaps of an HDF5 file.

    Args:
        content: content of a file with the object layout of HDF5 1.6, which
            h5py and Keras write.

    Raises:
        CheckpointError: the file has another layout or too many strings.
        ValueError: the file is damaged.
    """

    def __init__(self, content: FileContent):
        self._content = content
        self._check_superblock()
        # (offset, size) of a string by (offset of its heap, index).
        self._locations: dict[tuple[int, int], tuple[int, int]] = {}
        self._count = 0
        start = content.find(HEAP_SIGNATURE)
        while start >= 0:
            self._index_heap(start)
            start = content.find(HEAP_SIGNATURE, start + 1)

    def read_attribute(self, address: int, name: str) -> list[str]:
        """Read the strings of an attribute.

        Args:
            address: address of the object in the file.
            name: name of the attribute, of variable-length string type.

        Raises:
            CheckpointError: they are too long, or stored in another way.
            ValueError: the file is damaged.
        """
        for message in self._attributes(address):
            if message.name == name:
                return list(self._strings(message))
        raise CheckpointError(
            f"The attribute {name!r} is not stored as Keras and h5py do."
        )

    def _unpack(self, layout: str, offset: int) -> tuple:
        return struct.unpack_from(f"<{layout}", self._content, offset)

    def _check_superblock(self) -> None:
        version = self._content[8]
        is_old = version < 2
        widths = self._content[13:15] if is_old else self._content[9:11]
        base_address = 24 + 4 * version if is_old else 12
        is_supported = widths == bytes((ALIGNMENT, ALIGNMENT))
        if not is_supported or self._unpack("Q", base_address) != (0,):
            raise ValueError("a layout that Keras' files do not have")

    def _index_heap(self, start: int) -> None:
        (length,) = self._unpack("Q", start + len(HEAP_SIGNATURE))
        offset, stop = start + HEADER_BYTES, start + length
        while offset + HEADER_BYTES <= stop:
            index, size = self._unpack("H6xQ", offset)
            if index:
                self._locations[start, index] = offset + HEADER_BYTES, size
                offset += HEADER_BYTES + -(-size // ALIGNMENT) * ALIGNMENT
            elif size < HEADER_BYTES:
                raise ValueError("an endless heap of strings")
            else:
                offset += size
            if offset > stop or stop > len(self._content):
                raise ValueError("a truncated heap of strings")
            self._count += 1
            if self._count > MAX_STRINGS:
                raise CheckpointError("The HDF5 file has too many strings.")

    def _attributes(self, address: int) -> Iterator["_AttributeMessage"]:
        """Yield all attributes of an object: header and continuations."""
        version, size = self._unpack("B7xI", address)
        if version != 1:
            raise CheckpointError("The HDF5 file has an unsupported layout.")
        blocks = [(address + HEADER_BYTES, size)]
        count = 0
        while blocks:
            offset, size = blocks.pop(0)
            stop = offset + size
            while offset + ALIGNMENT <= stop:
                kind, size, flags = self._unpack("HHB", offset)
                offset += ALIGNMENT
                count += 1
                if count > MAX_MESSAGES:
                    raise CheckpointError("The HDF5 file has endless messages.")
                if kind == CONTINUATION:
                    blocks.append(self._unpack("QQ", offset))
                elif kind == ATTRIBUTE and not flags & SHARED_FLAG:
                    content = self._content[offset : offset + size]
                    yield _AttributeMessage(content)
                offset += size

    def _strings(self, message: "_AttributeMessage") -> Iterator[str]:
        total = 0
        for length, heap, index in message.references():
            offset, size = self._locations.get((heap, index), (0, 0))
            if length > size:
                raise ValueError("a truncated string")
            total += length
            if length > MAX_LENGTH or total > MAX_LENGTH * ALIGNMENT:
                raise CheckpointError(
                    f"The strings of {message.name!r} are too long."
                )
            text = self._content[offset : offset + length].rstrip(b"\0")
            yield text.decode("utf-8")


class _AttributeMessage:
    """Attribute message of an object header.

    Args:
        content: bytes of the message.
    """

    def __init__(self, content: bytes):
        version, *sizes = struct.unpack_from("<BxHHH", content)
        offset = 9 if version == 3 else 8
        fields = []
        for size in sizes:  # name, type and shape
            fields.append(content[offset : offset + size])
            # Version 1 pads each field.
            padded = -(-size // ALIGNMENT) * ALIGNMENT
            offset += padded if version == 1 else size
        self.name = fields[0].rstrip(b"\0").decode("utf-8")
        self._shape, self._data = fields[2], content[offset:]

    def references(self) -> Iterator[tuple[int, int, int]]:
        """Yield (length, offset of the heap, index) of each string."""
        version, rank = struct.unpack_from("<BB", self._shape)
        offset = 8 if version == 1 else 4
        count = math.prod(struct.unpack_from(f"<{rank}Q", self._shape, offset))
        if count * HEADER_BYTES > len(self._data):
            raise ValueError("a truncated list of strings")
        for index in range(count):
            yield struct.unpack_from("<IQI", self._data, index * HEADER_BYTES)
