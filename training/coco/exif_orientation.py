"""Decoding of images in the orientation that their EXIF states, in graphs too.

Reference:
    Exif 2.32, section 4.6; PNG, third edition, section 11.3.4.5 (eXIf);
    WebP container specification (EXIF).
"""

import tensorflow as tf

from ..io import image_bytes
from ..io.image_bytes import JPEG, PNG, RIFF, WEBP, starts_with

ORIENTATION = 0x0112  # a tag of EXIF
EXIF = b"Exif\0\0"  # starts a segment of a JPEG
PNG_CHUNK, WEBP_CHUNK = b"eXIf", b"EXIF"
EXIF_NAMES = (EXIF, PNG_CHUNK, WEBP_CHUNK)
FILL, APP1, SCAN = 0xFF, 0xE1, 0xDA  # of JPEG
MAX_SEGMENTS = 20_000  # of a file that are searched for EXIF
# (horizontal flip, counter-clockwise quarter turns after it) by orientation.
TRANSFORMS = {
    1: (False, 0),
    2: (True, 0),
    3: (False, 2),
    4: (True, 2),
    5: (True, 1),
    6: (False, 3),
    7: (True, 3),
    8: (False, 1),
}


def decode(content):
    """Decode a JPEG, PNG, BMP, WebP or GIF (its first frame), upright.

    Args:
        content: its bytes, a string.

    Returns:
        uint8 RGB `(height, width, 3)`.
    """
    image = image_bytes.decode(content)
    flips, turns = zip(*TRANSFORMS.values(), strict=True)
    index = orientation(content) - 1
    image = tf.cond(
        tf.gather(tf.constant(flips), index),
        lambda: image[:, ::-1],
        lambda: image,
    )
    return tf.image.rot90(image, tf.gather(tf.constant(turns), index))


def orientation(content):
    """Read the EXIF orientation of an image, int32 from 1 to 8.

    It is 1 where the file states none.
    """
    # Bytes past the end are read as 0.
    values = tf.concat(
        [
            tf.io.decode_raw(content, tf.uint8),
            tf.zeros(len(EXIF) + 12, tf.uint8),
        ],
        0,
    )
    value = tf.case(
        [
            (starts_with(content, JPEG), lambda: _of_jpeg(content, values)),
            (starts_with(content, PNG),
             lambda: _of_chunks(content, values, PNG_CHUNK)),
            (starts_with(content, RIFF) & starts_with(content, WEBP, 8),
             lambda: _of_chunks(content, values, WEBP_CHUNK)),
        ],
        default=lambda: 0,
    )  # fmt: skip
    return tf.where((value >= 1) & (value <= 8), value, 1)


def _of_jpeg(content, values):
    """Orientation in the first EXIF segment of a JPEG, or 0."""
    size = tf.strings.length(content)

    def is_exif(offset):
        is_app1 = _byte(values, offset + 1) == APP1
        return is_app1 & (_text(content, offset + 4, len(EXIF)) == EXIF)

    def is_segment(offset):
        return (offset + 4 <= size) & (_byte(values, offset) == FILL)

    def continues(offset):
        is_scan = _byte(values, offset + 1) == SCAN
        return is_segment(offset) & ~is_scan & ~is_exif(offset)

    def step(offset):
        length = _number(values, offset + 2, 2, True)
        is_fill = _byte(values, offset + 1) == FILL
        following = offset + 2 + tf.maximum(length, 2)
        return (tf.where(is_fill, offset + 1, following),)

    (offset,) = tf.while_loop(
        continues, step, (len(JPEG),), maximum_iterations=MAX_SEGMENTS
    )
    length = _number(values, offset + 2, 2, True)
    stop = tf.minimum(offset + 2 + length, size)
    return tf.cond(
        is_segment(offset) & is_exif(offset),
        lambda: _of_tiff(values, offset + 4 + len(EXIF), stop),
        lambda: 0,
    )


def _of_chunks(content, values, exif: bytes):
    """Orientation in the chunk of a PNG (eXIf) or a WebP (EXIF), or 0."""
    size = tf.strings.length(content)
    is_png = exif == PNG_CHUNK
    start, name_offset, length_offset, header_and_crc = (
        (8, 4, 0, 12) if is_png else (12, 0, 4, 8)
    )

    def length_of(offset):
        """Return the bytes of a chunk that the file has."""
        length = _number(values, offset + length_offset, 4, is_png)
        rest = size - offset - 8
        # A length of 2^31 and more is negative here.
        return tf.where((length < 0) | (length > rest), rest, length)

    def is_chunk(offset):
        return offset + 8 <= size

    def is_exif(offset):
        return _text(content, offset + name_offset, 4) == exif

    def step(offset):
        length = length_of(offset)
        padding = 0 if is_png else length % 2
        return (offset + header_and_crc + length + padding,)

    (offset,) = tf.while_loop(
        lambda offset: is_chunk(offset) & ~is_exif(offset),
        step,
        (start,),
        maximum_iterations=MAX_SEGMENTS,
    )
    # Some programs repeat the signature of a JPEG's segment.
    has_signature = _text(content, offset + 8, len(EXIF)) == EXIF
    tiff = offset + 8 + tf.where(has_signature, len(EXIF), 0)
    return tf.cond(
        is_chunk(offset) & is_exif(offset),
        lambda: _of_tiff(values, tiff, offset + 8 + length_of(offset)),
        lambda: 0,
    )


def _text(content, offset, length):
    """Slice a string; the slice is shorter at its end."""
    size = tf.strings.length(content)
    offset = tf.minimum(offset, size)
    return tf.strings.substr(content, offset, tf.minimum(length, size - offset))


def _of_tiff(values, start, stop):
    """Orientation in TIFF tags from `start` to before `stop`, or 0."""
    first, second = _byte(values, start), _byte(values, start + 1)
    is_big = (first == ord("M")) & (second == ord("M"))
    is_little = (first == ord("I")) & (second == ord("I"))
    table = start + _number(values, start + 4, 4, is_big)
    count = _number(values, table, 2, is_big)
    rows = table + 2 + 12 * tf.range(count)
    # Rows before the first that is cut off.
    rows = tf.boolean_mask(rows, rows + 12 <= stop)
    tags = _number(values, rows, 2, is_big)
    rows = tf.boolean_mask(rows, tags == ORIENTATION)[:1]
    value = tf.reduce_sum(_number(values, rows + 8, 2, is_big))
    has_table = (start + 8 <= stop) & (table >= start) & (table + 2 <= stop)
    return tf.where((is_big | is_little) & has_table, value, 0)


def _byte(values, offset):
    """Read bytes at offsets, int32; 0 outside of the file."""
    last = tf.shape(values)[0] - 1
    inside = (offset >= 0) & (offset <= last)
    value = tf.gather(values, tf.clip_by_value(offset, 0, last))
    return tf.where(inside, tf.cast(value, tf.int32), 0)


def _number(values, offset, count, is_big):
    """Read integers of `count` bytes, big- or little-endian."""
    total = 0
    for place in range(count):
        shift = tf.where(is_big, place, count - 1 - place)
        total = total * 256 + _byte(values, offset + shift)
    return total
