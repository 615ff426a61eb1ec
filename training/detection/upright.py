"""Encoded pictures as people see them, within a graph.

What `training.detection.pictures` does in Python.
"""

import tensorflow as tf

from training import image_bytes
from training.detection.pictures import (
    EXIF,
    JPEG,
    ORIENTATION,
    PNG,
    RIFF,
    UPRIGHT,
    WEBP,
)

FILL, APP1, SCAN = 0xFF, 0xE1, 0xDA


def decode(content):
    """Pixels of a JPEG, PNG, BMP, WebP or GIF (of which the first frame).

    Args:
        content: its bytes, a string.

    Returns:
        uint8 RGB `(height, width, 3)`, turned as its EXIF says.
    """
    image = image_bytes.decode(content)
    how = orientation(content)
    mirrored = tf.constant([UPRIGHT[n][0] for n in range(1, 9)])[how - 1]
    turns = tf.constant([UPRIGHT[n][1] for n in range(1, 9)])[how - 1]
    image = tf.cond(mirrored, lambda: image[:, ::-1], lambda: image)
    return tf.image.rot90(image, turns)


def orientation(content):
    """`training.detection.pictures.orientation` of a string, an int32."""
    values = tf.cast(tf.io.decode_raw(content, tf.uint8), tf.int32)
    # What is read behind the end is 0.
    values = tf.concat([values, tf.zeros(len(EXIF) + 12, tf.int32)], 0)
    found = tf.case(
        [
            (_text(content, 0, len(JPEG)) == JPEG,
             lambda: _of_jpeg(content, values)),
            (_text(content, 0, len(PNG)) == PNG,
             lambda: _of_chunks(content, values, b"eXIf")),
            ((_text(content, 0, 4) == RIFF) & (_text(content, 8, 4) == WEBP),
             lambda: _of_chunks(content, values, b"EXIF")),
        ],
        default=lambda: 0,
    )  # fmt: skip
    return tf.where((found >= 1) & (found <= 8), found, 1)


def _of_jpeg(content, values):
    size = tf.strings.length(content)

    def goes_on(at, _):
        return (at + 4 <= size) & (_byte(values, at) == FILL)

    def step(at, _):
        marker = _byte(values, at + 1)
        length = _number(values, at + 2, 2, True)
        is_exif = (marker == APP1) & (_text(content, at + 4, 6) == EXIF)
        end = tf.minimum(at + 2 + length, size)
        found = tf.cond(
            is_exif,
            lambda: _of_tiff(values, at + 10, end),
            lambda: 0,
        )
        behind = tf.where(
            marker == FILL, at + 1, at + 2 + tf.maximum(length, 2)
        )
        ends = is_exif | (marker == SCAN)
        return tf.where(ends, size, behind), found

    _, found = tf.while_loop(goes_on, step, (len(JPEG), 0))
    return found


def _of_chunks(content, values, exif: bytes):
    """The orientation in the chunk of a PNG (eXIf) or a WebP (EXIF), or 0."""
    size = tf.strings.length(content)
    is_png = exif == b"eXIf"
    start, name_at, length_at, behind = (
        (8, 4, 0, 12) if is_png else (12, 0, 4, 8)
    )

    def goes_on(at, _):
        return at + 8 <= size

    def step(at, _):
        length = _number(values, at + length_at, 4, is_png)
        is_exif = _text(content, at + name_at, 4) == exif
        # A length of 2^31 and more is negative here.
        is_long = (length < 0) | (length > size - at - 8)
        end = tf.where(is_long, size, at + 8 + length)
        has_mark = _text(content, at + 8, len(EXIF)) == EXIF
        tiff = at + 8 + tf.where(has_mark, len(EXIF), 0)
        found = tf.cond(is_exif, lambda: _of_tiff(values, tiff, end), lambda: 0)
        pad = 0 if is_png else length % 2
        return tf.where(
            is_exif | is_long, size, at + behind + length + pad
        ), found

    _, found = tf.while_loop(goes_on, step, (start, 0))
    return found


def _text(content, at, length):
    """A part of a string, which may be shorter at its end."""
    size = tf.strings.length(content)
    at = tf.minimum(at, size)
    return tf.strings.substr(content, at, tf.minimum(length, size - at))


def _of_tiff(values, start, end):
    """The orientation in notes from `start` to before `end`, or 0."""
    first, second = _byte(values, start), _byte(values, start + 1)
    is_big = (first == ord("M")) & (second == ord("M"))
    is_small = (first == ord("I")) & (second == ord("I"))
    table = start + _number(values, start + 4, 4, is_big)
    count = _number(values, table, 2, is_big)
    rows = table + 2 + 12 * tf.range(count)
    # Those before the first that is cut off.
    rows = tf.boolean_mask(rows, rows + 12 <= end)
    tags = _number(values, rows, 2, is_big)
    wanted = tf.boolean_mask(rows, tags == ORIENTATION)[:1]
    found = tf.reduce_sum(_number(values, wanted + 8, 2, is_big))
    is_whole = (is_big | is_small) & (start + 8 <= end) & (table + 2 <= end)
    return tf.where(is_whole & (table >= start), found, 0)


def _byte(values, at):
    """Bytes at places; 0 where there is none."""
    last = tf.shape(values)[0] - 1
    inside = (at >= 0) & (at <= last)
    return tf.where(inside, tf.gather(values, tf.clip_by_value(at, 0, last)), 0)


def _number(values, at, count, is_big):
    """Numbers of so many bytes, that of the highest value first or last."""
    total = 0
    for place in range(count):
        offset = tf.where(is_big, place, count - 1 - place)
        total = total * 256 + _byte(values, at + offset)
    return total
