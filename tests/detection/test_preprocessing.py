"""Preprocessing of images, compared with torchvision."""

import numpy as np
import pytest

from nonlocal_tf.detection import preprocessing
from tests.detection import golden


@pytest.mark.parametrize("number", [0, 1, 2])
def test_preprocessed_images_equal_torchvision(number):
    stored = golden.group("transform", f"case{number}")
    short, long = map(int, golden.arrays("transform")["config"][number])
    x, size = preprocessing.preprocess(stored["image"], short, long)
    assert tuple(size) == tuple(stored["image_size"])
    expected = golden.channels_last(stored["batch"])
    np.testing.assert_allclose(x, expected, rtol=0, atol=2e-5)


def test_resizing_has_no_antialiasing():
    """Half the size is the mean of 2 x 2 pixels, as in torchvision."""
    image = np.random.default_rng(0).integers(0, 256, (8, 12, 3), "uint8")
    x, size = preprocessing.preprocess(image, 4, 6)
    assert tuple(size) == (4, 6)
    pixels = np.asarray(preprocessing.normalize(image, preprocessing.RGB))
    expected = pixels.reshape(4, 2, 6, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(x[0, :4, :6], expected, rtol=0, atol=1e-5)


def test_detectrons_channels_are_bgr():
    image = np.full((32, 32, 3), (30, 20, 10), "uint8")
    x, _ = preprocessing.preprocess(image, 32, 32, preprocessing.BGR)
    expected = [10 - 102.9801, 20 - 115.9465, 30 - 122.7717]
    np.testing.assert_allclose(x[0, 3, 5], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((480, 640), (800, 1066)),
        ((300, 900), (444, 1333)),
        ((640, 480), (1066, 800)),
    ],
)
def test_sides_are_800_and_1333_at_most(size, expected):
    assert preprocessing.resized_size(size, 800, 1333) == expected


def test_a_thin_image_keeps_a_pixel():
    assert preprocessing.resized_size((2, 4000), 800, 1333) == (1, 1333)
