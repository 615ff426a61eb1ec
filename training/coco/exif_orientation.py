"""Encoded pictures as people see them, within a graph.

What `training.coco.images` does in Python.
"""

import tensorflow as tf

from ..io import image_bytes
from .images import EXIF, JPEG, ORIENTATION, PARTS, PNG, RIFF, UPRIGHT, WEBP

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
    """`training.coco.images.orientation` of a string, an int32."""
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

    def is_exif(at):
        is_app1 = _byte(values, at + 1) == APP1
        return is_app1 & (_text(content, at + 4, len(EXIF)) == EXIF)

    def is_segment(at):
        return (at + 4 <= size) & (_byte(values, at) == FILL)

    def goes_on(at):
        is_scan = _byte(values, at + 1) == SCAN
        return is_segment(at) & ~is_scan & ~is_exif(at)

    def step(at):
        behind = at + 2 + tf.maximum(_number(values, at + 2, 2, True), 2)
        is_fill = _byte(values, at + 1) == FILL
        return (tf.where(is_fill, at + 1, behind),)

    (at,) = tf.while_loop(goes_on, step, (len(JPEG),), maximum_iterations=PARTS)
    end = tf.minimum(at + 2 + _number(values, at + 2, 2, True), size)
    return tf.cond(
        is_segment(at) & is_exif(at),
        lambda: _of_tiff(values, at + 4 + len(EXIF), end),
        lambda: 0,
    )


def _of_chunks(content, values, exif: bytes):
    """The orientation in the chunk of a PNG (eXIf) or a WebP (EXIF), or 0."""
    size = tf.strings.length(content)
    is_png = exif == b"eXIf"
    start, name_at, length_at, behind = (
        (8, 4, 0, 12) if is_png else (12, 0, 4, 8)
    )

    def length_of(at):
        """Bytes of a chunk, at most those that there are."""
        length = _number(values, at + length_at, 4, is_png)
        left = size - at - 8
        # A length of 2^31 and more is negative here.
        return tf.where((length < 0) | (length > left), left, length)

    def is_chunk(at):
        return at + 8 <= size

    def is_exif(at):
        return _text(content, at + name_at, 4) == exif

    def step(at):
        length = length_of(at)
        pad = 0 if is_png else length % 2
        return (at + behind + length + pad,)

    (at,) = tf.while_loop(
        lambda at: is_chunk(at) & ~is_exif(at),
        step,
        (start,),
        maximum_iterations=PARTS,
    )
    mark = tf.where(_text(content, at + 8, len(EXIF)) == EXIF, len(EXIF), 0)
    return tf.cond(
        is_chunk(at) & is_exif(at),
        lambda: _of_tiff(values, at + 8 + mark, at + 8 + length_of(at)),
        lambda: 0,
    )


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
