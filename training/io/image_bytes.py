"""Encoded images as pixels, within a graph or outside of one."""

import tensorflow as tf

# As Pillow and libjpeg's own programs decode. TensorFlow's default is half a
# level darker, and no faster.
DCT_METHOD = "INTEGER_ACCURATE"
# How files begin; of PNG and JPEG as little as a decoder may go by.
JPEG, PNG, BMP, GIF = b"\xff\xd8", b"\x89PNG", b"BM", b"GIF8"
RIFF, WEBP = b"RIFF", b"WEBP"
PALETTE_BITS = (1, 4, 8)
LONGEST_SIDE_PX = 65_535
# Of a bitmap: places of numbers in its header, and how many bytes they have.
PIXELS, HEADER, WIDTH, HEIGHT = (10, 4), (14, 4), (18, 4), (22, 4)
BITS, COMPRESSION = (28, 2), (30, 4)
BEFORE_HEADER = 14
LEAST_HEADER = 40  # of Windows; OS/2's has other places


def decode(content):
    """Decode a JPEG, PNG, BMP, GIF (its first frame) or WebP.

    WebP is read where TensorFlow does, as its newer versions do. It takes the
    indices of a bitmap's palette for grey levels, so these are decoded here.
    Other formats that a version of TensorFlow may know, such as JPEG XL, are
    refused: their sizes are not checked before decoding.

    Args:
        content: its bytes, a string.

    Returns:
        uint8 RGB `(height, width, 3)`, as it is stored.

    Raises:
        tf.errors.InvalidArgumentError: it is damaged or of another format.
    """
    header = tf.cast(first_bytes(content, 54), tf.int32)
    bits = number(header, *BITS)
    has_palette = (
        starts_with(content, BMP)
        & (number(header, *HEADER) >= LEAST_HEADER)
        & tf.reduce_any(bits == PALETTE_BITS)
    )
    image = tf.case(
        [
            (starts_with(content, JPEG), lambda: decode_jpeg(content)),
            (has_palette, lambda: _decode_palette(content, header, bits)),
        ],
        default=lambda: _decode_other(content),
    )
    return tf.ensure_shape(image, (None, None, 3))


def starts_with(content, mark: bytes, place: int = 0):
    """Return whether a string has these bytes at a place."""
    padded = tf.strings.join([content, tf.constant(bytes(place + len(mark)))])
    return tf.strings.substr(padded, place, len(mark)) == mark


def first_bytes(content, count: int):
    """Return the first bytes of a string, uint8; 0 behind its end."""
    padded = tf.strings.join([content, tf.constant(bytes(count))])
    return tf.io.decode_raw(tf.strings.substr(padded, 0, count), tf.uint8)


def number(values, place: int, count: int):
    """Read a little-endian number of `count` bytes.

    Of int32 values it is negative from 2^31 on.
    """
    total = 0
    for position in reversed(range(place, place + count)):
        total = total * 256 + values[position]
    return total


def decode_jpeg(content):
    """Decode a JPEG, uint8 RGB `(height, width, 3)`."""
    return tf.io.decode_jpeg(content, channels=3, dct_method=DCT_METHOD)


def _decode_other(content):
    """Decode a PNG, a bitmap without a palette, a GIF or a WebP."""
    is_webp = starts_with(content, RIFF) & starts_with(content, WEBP, 8)
    is_known = is_webp | tf.reduce_any(
        [starts_with(content, mark) for mark in (PNG, BMP, GIF)]
    )
    check = tf.debugging.Assert(
        is_known,
        ["Expected a JPEG, PNG, BMP, GIF or WebP. Received another format."],
    )
    with tf.control_dependencies([check] if check is not None else []):
        content = tf.identity(content)
    return tf.io.decode_image(content, channels=3, expand_animations=False)


def _decode_palette(content, header, bits):
    """Decode a bitmap with a palette of 2, 16 or 256 colours."""
    width, height = number(header, *WIDTH), number(header, *HEIGHT)
    start, rows = number(header, *PIXELS), tf.abs(height)
    values = tf.io.decode_raw(content, tf.uint8)
    row_bytes = (tf.clip_by_value(width, 0, LONGEST_SIDE_PX) * bits + 31) // 32
    row_bytes = 4 * tf.maximum(row_bytes, 1)
    palette_start = BEFORE_HEADER + number(header, *HEADER)
    is_whole = (
        (number(header, *COMPRESSION) == 0)
        & (width >= 1)
        & (width <= LONGEST_SIDE_PX)
        & (rows >= 1)
        & (start >= palette_start)
        & (palette_start >= LEAST_HEADER)
        & (start <= tf.size(values))
        & (rows <= (tf.size(values) - start) // row_bytes)
    )
    check = tf.debugging.Assert(
        is_whole,
        [
            "Expected a whole bitmap without compression. Received width, "
            "height, compression:",
            width,
            height,
            number(header, *COMPRESSION),
        ],
    )
    with tf.control_dependencies([check] if check is not None else []):
        stop = start + rows * row_bytes
    packed = tf.reshape(values[start:stop], (rows, row_bytes, 1))
    shifts = tf.cast(tf.range(8 - bits, -1, -bits), tf.uint8)
    mask = tf.cast(tf.bitwise.left_shift(1, bits) - 1, tf.uint8)
    indices = tf.bitwise.right_shift(packed, shifts) & mask
    indices = tf.reshape(indices, (rows, row_bytes * 8 // bits))[:, :width]
    # Blue, green, red and a byte of nothing; colours behind the last are black.
    stored = values[palette_start : tf.minimum(start, palette_start + 4 * 256)]
    stored = stored[: tf.size(stored) // 4 * 4]
    colours = tf.concat([stored, tf.zeros(4 * 256, tf.uint8)], 0)
    colours = tf.reshape(colours[: 4 * 256], (256, 4))[:, 2::-1]
    image = tf.gather(colours, tf.cast(indices, tf.int32))
    return tf.cond(height > 0, lambda: image[::-1], lambda: image)
