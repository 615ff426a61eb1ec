"""Check the image size in headers of encoded images, in a TensorFlow graph.

A decompression bomb of some hundred bytes may claim any size, and decoders
allocate all of it.
"""

import functools

import tensorflow as tf

from ..io import image_bytes
from ..io.image_bytes import BMP, GIF, JPEG, PNG, RIFF, WEBP, number

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
    values = tf.cast(image_bytes.first_bytes(content, HEAD_BYTES), tf.int64)
    starts = functools.partial(image_bytes.starts_with, content)

    def jpeg():
        return tf.cast(tf.io.extract_jpeg_shape(content)[:2], tf.int64)

    def png():
        # Big-endian: from the last byte to the first.
        height, width = values[23:19:-1], values[19:15:-1]
        return tf.stack([number(height, 0, 4), number(width, 0, 4)])

    def bmp():
        # A negative height means rows from top to bottom.
        height = number(values, 22, 4)
        height = tf.minimum(height, (1 << 32) - height)
        return tf.stack([height, number(values, 18, 4)])

    def gif():
        return tf.stack([number(values, 8, 2), number(values, 6, 2)])

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
        sides = [number(values, 28, 2), number(values, 26, 2)]
        return tf.stack(sides) & 0x3FFF

    def lossless():
        bits = number(values, 21, 4)
        sides = [tf.bitwise.right_shift(bits, 14), bits]
        return (tf.stack(sides) & 0x3FFF) + 1

    def extended():
        return tf.stack([number(values, 27, 3), number(values, 24, 3)]) + 1

    return tf.case(
        [(starts(b"VP8 ", 12), lossy), (starts(b"VP8L", 12), lossless)],
        default=extended,
    )
