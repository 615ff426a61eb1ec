"""Sizes that encoded images state, looked at within a graph before decoding.

A JPEG of some hundred bytes may state any size, and decoders make room for all
of it.
"""

import tensorflow as tf

from ..io.image_bytes import BMP, GIF, JPEG, PNG, RIFF, WEBP

# Of frames: the limit that video files have too (`data.max_pixels`).
FRAME_PIXELS = 1 << 24
PHOTO_PIXELS = 1 << 26
HEAD_BYTES = 32


def bounded(content, max_pixels: int):
    """Return an encoded image, unless it states too many pixels.

    In a graph the error is an `InvalidArgumentError` that says so.

    Args:
        content: a JPEG, PNG, BMP, GIF or WebP, a string; other formats are
            left to the decoder, `image_bytes.decode`, which refuses them.
        max_pixels: the most that are decoded.
    """
    size = stated_size(content)
    right = tf.debugging.Assert(
        tf.reduce_prod(tf.cast(size, tf.float64)) <= max_pixels,
        [
            f"Expected images of at most {max_pixels} pixels. Received height "
            "and width:",
            size,
            "Make them smaller before they are sent.",
        ],
    )
    with tf.control_dependencies([right]):
        return tf.identity(content)


def stated_size(content):
    """Return the height and width that an image states, int64 `(2,)`.

    They are 0 where it is of no kind that is known here.
    """
    padded = tf.strings.join([content, tf.constant(bytes(HEAD_BYTES))])
    head = tf.strings.substr(padded, 0, HEAD_BYTES)
    values = tf.cast(tf.io.decode_raw(head, tf.uint8), tf.int64)

    def starts(mark: bytes, place: int = 0):
        return tf.strings.substr(head, place, len(mark)) == mark

    def jpeg():
        return tf.cast(tf.io.extract_jpeg_shape(content)[:2], tf.int64)

    def png():
        return tf.stack([_big(values, 20, 4), _big(values, 16, 4)])

    def bmp():
        # A negative height is that of rows from the top down.
        height = _little(values, 22, 4)
        height = tf.minimum(height, (1 << 32) - height)
        return tf.stack([height, _little(values, 18, 4)])

    def gif():
        return tf.stack([_little(values, 8, 2), _little(values, 6, 2)])

    return tf.case(
        [
            (starts(JPEG), jpeg),
            (starts(PNG), png),
            (starts(BMP), bmp),
            (starts(GIF), gif),
            (starts(RIFF) & starts(WEBP, 8), lambda: _webp(values, starts)),
        ],
        default=lambda: tf.zeros(2, tf.int64),
    )


def _webp(values, starts):
    """Height and width of a WebP: lossy, lossless or extended.

    Reference:
        RFC 9649, sections 2.5 to 2.7.
    """

    def lossy():
        sides = [_little(values, 28, 2), _little(values, 26, 2)]
        return tf.stack(sides) & 0x3FFF

    def lossless():
        bits = _little(values, 21, 4)
        sides = [tf.bitwise.right_shift(bits, 14), bits]
        return (tf.stack(sides) & 0x3FFF) + 1

    def extended():
        return tf.stack([_little(values, 27, 3), _little(values, 24, 3)]) + 1

    return tf.case(
        [(starts(b"VP8 ", 12), lossy), (starts(b"VP8L", 12), lossless)],
        default=extended,
    )


def _big(values, place: int, count: int):
    """A number whose highest byte is the first."""
    return _number([values[place + i] for i in range(count)])


def _little(values, place: int, count: int):
    """A number whose lowest byte is the first."""
    return _number([values[place + i] for i in reversed(range(count))])


def _number(digits):
    total = tf.constant(0, tf.int64)
    for digit in digits:
        total = total * 256 + digit
    return total
