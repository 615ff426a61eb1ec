"""EXIF orientation in the bytes of images."""

import io

import numpy as np
import pytest
import tensorflow as tf

from training.coco import exif_orientation

Image = pytest.importorskip("PIL.Image")
ImageOps = pytest.importorskip("PIL.ImageOps")
WEBP = pytest.mark.skipif(
    not hasattr(tf.io, "decode_webp"), reason="this TensorFlow reads no WebP"
)
TIFF = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"
BIG_ENDIAN_TIFF = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"
GRAPH = tf.function(
    exif_orientation.orientation,
    [tf.TensorSpec((), tf.string)],
    autograph=False,
)


def orientation(content):
    return int(GRAPH(content))


def encode(orientation, kind="JPEG", tags=()):
    """Return the bytes of an image with an orientation and other tags."""
    pixels = np.zeros((16, 24, 3), "uint8")
    pixels[:8, :8] = 255
    exif = Image.Exif()
    for tag, value in tags:
        exif[tag] = value
    exif[exif_orientation.ORIENTATION] = orientation
    content = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    Image.fromarray(pixels).save(content, kind, exif=exif, **options)
    return content.getvalue()


@pytest.mark.parametrize(
    "kind", ["JPEG", "PNG", pytest.param("WEBP", marks=WEBP)]
)
@pytest.mark.parametrize("value", range(1, 9))
def test_images_are_turned_as_by_pillow(kind, value):
    content = encode(value, kind, [(0x010F, "a maker")])
    assert orientation(content) == value
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    actual = exif_orientation.decode(content)
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("tiff", [TIFF, BIG_ENDIAN_TIFF])
def test_both_byte_orders_are_read(tiff):
    segment = b"Exif\0\0" + tiff
    size = (len(segment) + 2).to_bytes(2, "big")
    assert orientation(b"\xff\xd8\xff\xe1" + size + segment) == 6


def test_exif_after_the_pixels_of_a_png_is_read():
    """exiftool writes it there."""
    content = encode(6, "PNG")
    start = content.index(b"eXIf") - 4
    length = 12 + int.from_bytes(content[start : start + 4], "big")
    chunk, rest = (
        content[start : start + length],
        content[:start] + content[start + length :],
    )
    last_chunk = rest.index(b"IEND") - 4
    content = rest[:last_chunk] + chunk + rest[last_chunk:]
    assert orientation(content) == 6


def test_fill_bytes_before_a_segment_are_skipped():
    content = encode(6)
    assert orientation(content[:2] + b"\xff" * 3 + content[2:]) == 6


@pytest.mark.parametrize(
    ("kind", "name"),
    [("JPEG", b"Exif\0\0"), ("PNG", b"eXIf"), ("WEBP", b"EXIF")],
)
def test_truncated_and_damaged_exif_is_no_error(kind, name):
    content = encode(6, kind, [(0x010F, "x")])
    start = content.index(name)
    rng = np.random.default_rng(0)
    cases = [content[:length] for length in range(start, start + 45)]
    cases += [b"", b"\xff\xd8", b"no image", b"\xff\xd8\xff\xff\xff"]
    for _ in range(200):
        damaged = bytearray(content[: start + 60])
        first = 2 if kind == "JPEG" else start - 4
        damaged[rng.integers(first, len(damaged))] = rng.integers(256)
        cases.append(bytes(damaged))
    assert all(1 <= orientation(case) <= 8 for case in cases)


def test_images_without_exif_are_not_turned():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), "uint8")
    content = tf.io.encode_png(pixels).numpy()
    np.testing.assert_array_equal(exif_orientation.decode(content), pixels)


def test_the_number_of_searched_segments_is_limited():
    chunk = b"\0\0\0\0none\0\0\0\0"
    exif = b"\0\0\0\x1aeXIf" + TIFF
    limit = exif_orientation.MAX_SEGMENTS
    for count, expected in ((limit, 6), (limit + 1, 1)):
        content = b"\x89PNG\r\n\x1a\n" + chunk * count + exif
        assert orientation(content) == expected
