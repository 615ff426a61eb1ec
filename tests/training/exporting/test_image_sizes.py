"""Images that would fill the memory are refused by what they state."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from training.exporting import image_sizes


def encoded(kind, height=5, width=7, **options):
    file = io.BytesIO()
    pixels = np.zeros((height, width, 3), np.uint8)
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def huge_jpeg():
    """A JPEG of some hundred bytes whose frame header states 13,300 a side."""
    content = bytearray(encoded("JPEG"))
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", 13_300, 13_300)
    return bytes(content)


def huge_png():
    content = bytearray(encoded("PNG"))
    content[16:24] = struct.pack(">II", 30_000, 30_000)
    return bytes(content)


def huge_bmp():
    content = bytearray(encoded("BMP"))
    content[18:26] = struct.pack("<ii", 30_000, -30_000)
    return bytes(content)


def huge_gif():
    content = bytearray(encoded("GIF"))
    content[6:10] = struct.pack("<HH", 60_000, 60_000)
    return bytes(content)


# libjpeg passes over what is before the first marker.
PADDED = huge_jpeg()[:2] + b"\0" + huge_jpeg()[2:]
HUGE = [huge_jpeg(), PADDED, huge_png(), huge_bmp(), huge_gif()]


@pytest.fixture(scope="module")
def stated():
    """`stated_size` in a graph, as it is served."""
    spec = tf.TensorSpec((), tf.string)
    graph = tf.function(image_sizes.stated_size, [spec], autograph=False)
    return lambda content: graph(content).numpy().tolist()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("BMP", {}),
        ("GIF", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0"}),
    ],
    ids=str,
)
def test_the_size_is_that_of_the_pixels(stated, kind, options):
    assert stated(encoded(kind, 300, 517, **options)) == [300, 517]


@pytest.mark.parametrize("content", [b"", b"\x89PNG", b"BM", b"x"])
def test_what_is_no_image_has_no_size(stated, content):
    assert stated(content) == [0, 0]


@pytest.mark.parametrize("content", HUGE, ids=lambda content: content[:4])
def test_too_many_pixels_are_refused_in_words(content):
    assert len(content) < 2000
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="at most 16777216"
    ):
        image_sizes.bounded(content, image_sizes.FRAME_PIXELS)


def test_images_within_the_bound_are_as_they_were():
    content = encoded("PNG", 4, 6)
    assert image_sizes.bounded(content, 24).numpy() == content
    with pytest.raises(tf.errors.InvalidArgumentError):
        image_sizes.bounded(content, 23)
