"""From a picture to the network's pixels, beside torchvision's numbers."""

import numpy as np
import pytest

from nonlocal_tf.detection import transform
from tests.detection import golden


@pytest.mark.parametrize("number", [0, 1, 2])
def test_pixels_are_torchvisions(number):
    stored = golden.group("transform", f"case{number}")
    short, long = map(int, golden.arrays("transform")["config"][number])
    x, size = transform.prepare(stored["image"], short, long)
    assert tuple(size) == tuple(stored["image_size"])
    got = np.moveaxis(x, -1, 1)
    np.testing.assert_allclose(got, stored["batch"], rtol=0, atol=2e-5)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_boxes_come_back_as_torchvisions(number):
    stored = golden.group("transform", f"case{number}")
    got = transform.boxes_back(
        stored["resized_boxes"], stored["image_size"], stored["image"].shape[:2]
    )
    expected = stored["boxes_back"]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-5)


def test_scaling_down_interpolates_between_two_pixels_alone():
    """As torchvision does; antialiasing would look at more of them."""
    image = np.random.default_rng(0).integers(0, 256, (8, 12, 3), "uint8")
    x, size = transform.prepare(image, 4, 6)
    assert tuple(size) == (4, 6)
    whole = np.asarray(transform.normalised(image, transform.RGB))
    blocks = whole.reshape(4, 2, 6, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(x[0, :4, :6], blocks, rtol=0, atol=1e-5)


def test_detectrons_pixels_are_blue_first():
    image = np.full((32, 32, 3), (30, 20, 10), "uint8")
    x, _ = transform.prepare(image, 32, 32, transform.BGR)
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
def test_a_side_is_scaled_to_800_and_none_beyond_1333(size, expected):
    assert transform.resized_size(size, 800, 1333) == expected


def test_a_thin_picture_keeps_a_pixel():
    assert transform.resized_size((2, 4000), 800, 1333) == (1, 1333)
