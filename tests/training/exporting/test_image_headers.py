"""Image sizes in headers; refusal of decompression bombs."""

import pytest
import tensorflow as tf

from tests.training.exporting.bombs import (
    encoded,
    huge_bmp,
    huge_gif,
    huge_jpeg,
    huge_png,
)
from training.exporting import image_headers

# libjpeg skips bytes before the first marker.
PADDED = huge_jpeg()[:2] + b"\0" + huge_jpeg()[2:]
HUGE = [huge_jpeg(), PADDED, huge_png(), huge_bmp(), huge_gif()]


@pytest.fixture(scope="module")
def stated():
    """`stated_size` in a graph."""
    spec = tf.TensorSpec((), tf.string)
    graph = tf.function(image_headers.stated_size, [spec], autograph=False)
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
def test_size_is_that_of_the_pixels(stated, kind, options):
    assert stated(encoded(kind, 300, 517, **options)) == [300, 517]


@pytest.mark.parametrize("content", [b"", b"\x89PNG", b"BM", b"x"])
def test_unknown_formats_have_size_zero(stated, content):
    assert stated(content) == [0, 0]


@pytest.mark.parametrize("content", HUGE, ids=lambda content: content[:4])
def test_too_many_pixels_are_refused(content):
    assert len(content) < 2000
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="at most 16777216"
    ):
        image_headers.bounded(content, image_headers.FRAME_PIXELS)


def test_images_within_the_limit_are_unchanged():
    content = encoded("PNG", 4, 6)
    assert image_headers.bounded(content, 24).numpy() == content
    with pytest.raises(tf.errors.InvalidArgumentError):
        image_headers.bounded(content, 23)
