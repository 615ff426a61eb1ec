"""Encoded pictures as people see them, within a graph.

What `training.detection.pictures` does in Python.
"""

import tensorflow as tf

from training.detection.pictures import ORIENTATION, UPRIGHT

JPEG = b"\xff\xd8"
EXIF = b"Exif\0\0"
FILL, APP1, SCAN = 0xFF, 0xE1, 0xDA


def decode(content):
    """Pixels of a JPEG, PNG, BMP or GIF (of which the first frame).

    Args:
        content: its bytes, a string.

    Returns:
        uint8 RGB `(height, width, 3)`, turned as its EXIF says.
    """
    image = tf.io.decode_image(content, channels=3, expand_animations=False)
    image.set_shape((None, None, 3))
    how = orientation(content)
    mirrored = tf.constant([UPRIGHT[n][0] for n in range(1, 9)])[how - 1]
    turns = tf.constant([UPRIGHT[n][1] for n in range(1, 9)])[how - 1]
    image = tf.cond(mirrored, lambda: image[:, ::-1], lambda: image)
    return tf.image.rot90(image, turns)


def orientation(content):
    """`training.detection.pictures.orientation` of a string, an int32."""
    values = tf.cast(tf.io.decode_raw(content, tf.uint8), tf.int32)
    is_jpeg = tf.strings.substr(content, 0, len(JPEG)) == JPEG
    # What is read behind the end is 0.
    values = tf.concat([values, tf.zeros(len(EXIF) + 12, tf.int32)], 0)
    size = tf.strings.length(content)

    def goes_on(at, _):
        return (at + 4 <= size) & (_byte(values, at) == FILL)

    def step(at, _):
        marker = _byte(values, at + 1)
        length = _number(values, at + 2, 2, True)
        name = tf.strings.substr(content, at + 4, tf.minimum(6, size - at - 4))
        is_exif = (marker == APP1) & (name == EXIF)
        found = tf.cond(
            is_exif,
            lambda: _of_tiff(values, at + 10, at + 2 + length),
            lambda: 0,
        )
        behind = tf.where(
            marker == FILL, at + 1, at + 2 + tf.maximum(length, 2)
        )
        ends = is_exif | (marker == SCAN)
        return tf.where(ends, size, behind), found

    start = tf.where(is_jpeg, len(JPEG), size)
    _, found = tf.while_loop(goes_on, step, (start, 0))
    return tf.where((found >= 1) & (found <= 8), found, 1)


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
