"""Check the image size in headers of encoded images, in a TensorFlow graph.

A decompression bomb of some hundred bytes may claim any size, and decoders
allocate all of it.
"""

import tensorflow as tf

from ..io.image_bytes import BMP, GIF, JPEG, PNG, RIFF, WEBP

# Limit of frames, as of video files (`data.max_pixels`).
FRAME_PIXELS = 1 << 24
PHOTO_PIXELS = 1 << 26
HEAD_BYTES = 32


def bounded(content, max_pixels: int):
    """Return an encoded image, unless its header claims too many pixels.

    In a graph the error is an `InvalidArgumentError` that says so.

    Args:
        content: a JPEG, PNG, BMP, GIF or WebP, a string; other formats are
            left to the decoder, `image_bytes.decode`, which refuses them.
        max_pixels: maximum number of pixels.
    """
    size = stated_size(content)
    right = tf.debugging.Assert(
        tf.reduce_prod(tf.cast(size, tf.float64)) <= max_pixels,
        [
            f"Expected images of at most {max_pixels} pixels. Received height "
            "and width:",
            size,
            "Resize them before sending.",
        ],
    )
    with tf.control_dependencies([right]):
        return tf.identity(content)


def stated_size(content):
    """Return height and width of an image header, int64 `(2,)`.

    They are 0 for unknown formats.
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
        # A negative height means rows from top to bottom.
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
    """Read height and width of a WebP: lossy, lossless or extended.

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
    """Read a big-endian integer."""
    return _number([values[place + i] for i in range(count)])


def _little(values, place: int, count: int):
    """Read a little-endian integer."""
    return _number([values[place + i] for i in reversed(range(count))])


def _number(digits):
    total = tf.constant(0, tf.int64)
    for digit in digits:
        total = total * 256 + digit
    return total
