"""Where the records of a TFRecord file are, and one of them by its place.

A record is: its length (uint64), a checksum of that, the data, a checksum of
that (uint32 each, all little-endian). So records are found by hopping from
length to length, without reading what is between.
"""

import dataclasses
import os
import struct
from collections.abc import Iterator

import tensorflow as tf

from ..io.user_error import UserError

HEAD_BYTES = 12
FOOT_BYTES = 4
GZIP = b"\x1f\x8b"
# One request to an object store brings so much of a record.
BUFFER_BYTES = 2 << 20


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a record is.

    Attributes:
        number: of the record in its file, from 0.
        offset: of its beginning, in bytes.
        length: of its data, in bytes.
        start: the first bytes of its data.
    """

    number: int
    offset: int
    length: int
    start: bytes


def places(path: str, start_bytes: int = 0) -> Iterator[Place]:
    """Finds the records of a file, reading their first bytes alone.

    Args:
        path: of the TFRecord file, on a disk or where TensorFlow reads.
        start_bytes: how much of each record's data is wanted.

    Raises:
        UserError: the file is missing, cut off, or no TFRecord file.
    """
    try:
        size = tf.io.gfile.stat(path).length
        with _open(path) as file:
            offset = number = 0
            while offset < size:
                file.seek(offset)
                head = file.read(HEAD_BYTES + start_bytes)
                length = _length(head, f"{path}, record {number}")
                end = offset + HEAD_BYTES + length + FOOT_BYTES
                if end > size:
                    raise UserError(
                        f"{path}, record {number}: the file is cut off. "
                        f"Expected {end} bytes. Received: {size}"
                    )
                start = head[HEAD_BYTES : HEAD_BYTES + length]
                yield Place(number, offset, length, start)
                offset, number = end, number + 1
    except tf.errors.NotFoundError as error:
        raise UserError(f"There is no file {path}.") from error
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def record_at(path, offset):
    """The data of one record, checked, by TensorFlow's operations.

    Args:
        path: of the TFRecord file, a string tensor.
        offset: of the record's beginning, int64.

    Returns:
        A string tensor; an error of TensorFlow where the record is damaged.
    """
    # tf.data.TFRecordDataset does not hand on byte_offsets.
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path],
        compression_type="",
        buffer_size=tf.constant(BUFFER_BYTES, tf.int64),
        byte_offsets=[offset],
    )
    records = tf.data.experimental.from_variant(
        variant, tf.TensorSpec((), tf.string)
    )
    return records.take(1).get_single_element()


def masked_crc32c(data: bytes) -> int:
    """The checksum of TFRecord files; for a few bytes, it is slow."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _length(head: bytes, where: str) -> int:
    if head.startswith(GZIP):
        raise UserError(
            f"{where}: expected a TFRecord file that is not compressed; of "
            "one that is, no record can be read by itself."
        )
    if len(head) < HEAD_BYTES:
        raise UserError(f"{where}: the file is cut off.")
    length, crc = struct.unpack("<QI", head[:HEAD_BYTES])
    if crc != masked_crc32c(head[:8]):
        raise UserError(
            f"{where}: the checksum of its length is wrong. The file is "
            "damaged or no TFRecord file."
        )
    return length


def _open(path: str):
    # Python's own reads a few kB at each place, TensorFlow's half a MB.
    if "://" in path:
        return tf.io.gfile.GFile(path, "rb")
    return open(os.fspath(path), "rb")
