"""Random access to records of TFRecord files.

A record consists of its length (uint64), a checksum of the length, the data,
and a checksum of the data (uint32 each, all little-endian). Records are located
by their lengths, without reading the data.
"""

import dataclasses
import struct
from collections.abc import Iterator

import tensorflow as tf

from ..io import paths
from ..io.user_error import UserError

HEAD_BYTES = 12
FOOT_BYTES = 4
GZIP = b"\x1f\x8b"
# Read this much of a record per request to an object store.
BUFFER_BYTES = 2 << 20


@dataclasses.dataclass(frozen=True)
class RecordLocation:
    """Location of a record in its file.

    Attributes:
        number: number of the record, from 0.
        offset: offset in bytes.
        length: length of the data in bytes.
        start: first bytes of the data.
    """

    number: int
    offset: int
    length: int
    start: bytes


def locate(path: str, start_bytes: int = 0) -> Iterator[RecordLocation]:
    """Yield the locations of the records of a file.

    Args:
        path: path or URL of the TFRecord file.
        start_bytes: number of bytes of each record to read.

    Raises:
        UserError: the file is missing, truncated, or not a TFRecord file.
    """
    try:
        file_path = paths.as_path(path)
        size = file_path.stat().st_size
        with file_path.open("rb") as file:
            offset = number = 0
            while offset < size:
                file.seek(offset)
                head = file.read(HEAD_BYTES + start_bytes)
                length = _length(head, f"{path}, record {number}")
                stop = offset + HEAD_BYTES + length + FOOT_BYTES
                if stop > size:
                    raise UserError(
                        f"{path}, record {number}: the file is truncated. "
                        f"Expected {stop} bytes. Received: {size}"
                    )
                start = head[HEAD_BYTES : HEAD_BYTES + length]
                yield RecordLocation(number, offset, length, start)
                offset, number = stop, number + 1
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def record_at(path, offset):
    """Read the data of a record with TensorFlow operations.

    Args:
        path: path of the TFRecord file, a string tensor.
        offset: offset of the record, int64.

    Returns:
        A string tensor. A damaged record raises an error of TensorFlow.
    """
    # tf.data.TFRecordDataset does not expose byte_offsets.
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
    """Compute the checksum of TFRecord files; slow, for a few bytes only."""
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
            f"{where}: expected an uncompressed TFRecord file; compressed "
            "files do not allow random access."
        )
    if len(head) < HEAD_BYTES:
        raise UserError(f"{where}: the file is truncated.")
    length, crc = struct.unpack("<QI", head[:HEAD_BYTES])
    if crc != masked_crc32c(head[:8]):
        raise UserError(
            f"{where}: the checksum of its length is wrong. The file is "
            "damaged or not a TFRecord file."
        )
    return length
