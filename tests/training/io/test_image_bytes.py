"""Encoded images become the pixels that Pillow gives."""

import io

import numpy as np
import pytest
import tensorflow as tf

from training.io import image_bytes

Image = pytest.importorskip("PIL.Image")

SIZE = (7, 13)  # no multiple of 8 pixels a row
GRAPH = tf.function(
    image_bytes.decode, [tf.TensorSpec((), tf.string)], autograph=False
)


def picture(size=SIZE, seed=0):
    random = np.random.default_rng(seed)
    return Image.fromarray(random.integers(0, 256, (*size, 3), "uint8"))


def encoded(image, kind, **options):
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def bitmap(indices, colours, bits, is_upright=False):
    """A BMP of palette indices, as no library here writes all of them."""
    height, width = indices.shape
    on_rows = -(-width * bits // 32) * 32 // bits
    padded = np.zeros((height, on_rows), np.uint8)
    padded[:, :width] = indices
    digits = (padded[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    rows = np.packbits(digits.reshape(height, -1).astype(np.uint8), axis=1)
    palette = np.pad(colours[:, ::-1], ((0, 0), (0, 1))).tobytes()
    start = 54 + len(palette)
    header = [40, width, -height if is_upright else height]
    content = (rows if is_upright else rows[::-1]).tobytes()
    numbers = np.array(header, "<i4").tobytes()
    kind = np.array([1, bits], "<u2").tobytes()
    rest = np.array([0, 0, 0, 0, len(colours), 0], "<u4").tobytes()
    sizes = np.array([start + len(content), 0, start], "<u4").tobytes()
    return b"BM" + sizes + numbers + kind + rest + palette + content


@pytest.mark.parametrize("decode", [image_bytes.decode, GRAPH])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1"])
def test_a_bitmap_has_its_colours(decode, mode):
    image = picture().convert(mode)
    if mode == "P":
        image = picture().quantize(19)
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(decode(encoded(image, "BMP")), expected)


@pytest.mark.parametrize("decode", [image_bytes.decode, GRAPH])
@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("is_upright", [False, True])
def test_a_palette_has_2_16_or_256_colours(decode, bits, is_upright):
    random = np.random.default_rng(bits)
    colours = random.integers(0, 256, (2**bits, 3), "uint8")
    indices = random.integers(0, 2**bits, SIZE, "uint8")
    content = bitmap(indices, colours, bits, is_upright)
    expected = colours[indices]
    with Image.open(io.BytesIO(content)) as image:
        np.testing.assert_array_equal(
            np.asarray(image.convert("RGB")), expected
        )
    np.testing.assert_array_equal(decode(content), expected)


@pytest.mark.parametrize("decode", [image_bytes.decode, GRAPH])
def test_a_bitmap_that_lies_or_is_compressed_is_an_error(decode):
    whole = bitmap(np.zeros(SIZE, "uint8"), np.zeros((256, 3), "uint8"), 8)
    changes = {18: 0x7FFFFFFF, 22: 0x7FFFFFFF, 10: 0, 14: 0x7FFFFF00, 30: 1}
    for place, value in changes.items():
        content = bytearray(whole)
        content[place : place + 4] = int(value).to_bytes(4, "little")
        with pytest.raises(tf.errors.OpError):
            decode(bytes(content))
    for length in (2, 20, 54, len(whole) - 1):
        with pytest.raises(tf.errors.OpError):
            decode(whole[:length])


@pytest.mark.parametrize("decode", [image_bytes.decode, GRAPH])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_is_decoded_to_the_level(decode, mode):
    """TensorFlow's default differs by half a level."""
    smooth = picture((9, 11)).resize((64, 48)).convert(mode)
    content = encoded(smooth, "JPEG", quality=90, subsampling=0)
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(decode(content), expected)
    other = tf.io.decode_image(content, channels=3).numpy()
    assert (other != expected).any()


@pytest.mark.parametrize("decode", [image_bytes.decode, GRAPH])
@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_other_kinds_are_as_they_were(decode, kind):
    image = picture().quantize(19)
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(decode(encoded(image, kind)), expected)


@pytest.mark.parametrize("content", [b"", b"B", b"BM", b"\xff\xd8", b"no"])
def test_what_is_no_image_is_an_error(content):
    with pytest.raises(tf.errors.OpError):
        GRAPH(content)


# 6 x 4 grey pixels. Newer versions of TensorFlow decode it.
JPEG_XL = bytes.fromhex(
    "ff0a184010090800010054004b12c5828524d217f8072001000000000000000000"
)


@pytest.mark.parametrize("decode", [image_bytes.decode, GRAPH])
@pytest.mark.parametrize("content", [JPEG_XL, b"", b"x"])
def test_formats_of_unchecked_size_are_refused(decode, content):
    with pytest.raises(tf.errors.InvalidArgumentError, match="Expected a JPEG"):
        decode(content)
