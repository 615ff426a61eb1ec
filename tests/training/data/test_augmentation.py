"""Augmentation of clips, against Pillow."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from training.data import augmentation

RNG = np.random.default_rng(0)
# Smooth, so that interpolation by other arithmetic differs little; not of the
# whole range, so that contrast can grow.
NOISE = RNG.uniform(30, 200, (1, 5, 7, 3))
FRAME = np.asarray(
    Image.fromarray(NOISE[0].astype("uint8")).resize((23, 17), Image.BICUBIC)
)
CLIP = np.stack([FRAME, FRAME])
LEVEL = 0.7


def enhanced(kind):
    def enhance(image, sign):
        return kind(image).enhance(1 + 0.9 * LEVEL * sign)

    return enhance


def moved(matrix):
    """A transform of positions from the centre, as 2 x 3 numbers."""

    def move(image, sign):
        (a, b, e), (c, d, f) = matrix(sign)
        # Pillow's positions are of corners of pixels: centres are at + 0.5.
        x, y = image.width / 2, image.height / 2
        return image.transform(
            image.size,
            Image.AFFINE,
            (a, b, x - a * x - b * y + e, c, d, y - c * x - d * y + f),
            Image.BILINEAR,
            fillcolor=(augmentation.FILL,) * 3,
        )

    return move


def rotation(sign):
    angle = np.radians(30 * LEVEL * sign)
    return (
        (np.cos(angle), -np.sin(angle), 0),
        (np.sin(angle), np.cos(angle), 0),
    )


def equalized(image):
    """A clip has one histogram: that of its frames beside each other."""
    tall = Image.fromarray(np.concatenate([*CLIP]))
    return ImageOps.equalize(tall).crop((0, 0, *image.size))


# Of each operation, its image by Pillow, and the largest difference.
PILLOW = {
    "auto_contrast": (lambda i, s: ImageOps.autocontrast(i), 1),
    "equalize": (lambda i, s: equalized(i), 0),
    "invert": (lambda i, s: ImageOps.invert(i), 0),
    "posterize": (lambda i, s: ImageOps.posterize(i, 8 - int(4 * LEVEL)), 0),
    "solarize": (lambda i, s: ImageOps.solarize(i, int(255 - 255 * LEVEL)), 0),
    # Greys and products are rounded at other places.
    "color": (enhanced(ImageEnhance.Color), 2),
    "contrast": (enhanced(ImageEnhance.Contrast), 2),
    "brightness": (enhanced(ImageEnhance.Brightness), 1),
    "sharpness": (enhanced(ImageEnhance.Sharpness), 2),
    "rotate": (moved(rotation), 2),
    "shear_x": (moved(lambda s: ((1, 0.3 * LEVEL * s, 0), (0, 1, 0))), 2),
    "shear_y": (moved(lambda s: ((1, 0, 0), (0.3 * LEVEL * s, 1, 0))), 2),
    "translate_x": (
        moved(lambda s: ((1, 0, 0.45 * LEVEL * s * 23), (0, 1, 0))),
        2,
    ),
    "translate_y": (
        moved(lambda s: ((1, 0, 0), (0, 1, 0.45 * LEVEL * s * 17))),
        2,
    ),
}


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("name", augmentation.OPERATIONS)
def test_an_operation_is_that_of_pillow_in_all_frames(name, sign):
    change = augmentation.OPERATIONS[name]
    got = change(tf.constant(CLIP), LEVEL, tf.constant(sign)).numpy()
    of_pillow, difference = PILLOW[name]
    expected = np.asarray(of_pillow(Image.fromarray(FRAME), sign))
    np.testing.assert_array_equal(got[0], got[1])
    error = np.abs(got[0].astype(int) - expected)
    # At the edge of what is filled, another rule decides what is outside.
    inner = error[1:-1, 1:-1] if name in EDGED else error
    outliers = (inner > difference).any(axis=-1)
    assert outliers.mean() <= (0.1 if name in EDGED else 0)
    assert np.abs(expected.astype(int) - FRAME).max() > 2  # it does something


EDGED = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")


def test_luminance_is_that_of_pillow():
    expected = np.asarray(Image.fromarray(FRAME).convert("L"))
    got = augmentation.grey(tf.constant(CLIP)).numpy()
    assert np.abs(got[0].astype(int) - expected[..., None]).max() <= 1
    assert (got[..., 0] == got[..., 2]).all()


def test_a_box_of_noise_is_erased_from_all_frames():
    areas = []
    for number in range(30):
        erased = augmentation.erase(tf.constant(CLIP), (3, number)).numpy()
        box = (erased != CLIP).any(axis=(0, 3))
        rows, columns = np.flatnonzero(box.any(1)), np.flatnonzero(box.any(0))
        assert len(rows) == rows[-1] - rows[0] + 1
        assert len(columns) == columns[-1] - columns[0] + 1
        assert (box == box.any(1)[:, None] & box.any(0)).all()
        assert not (erased[0] == erased[1])[box].all()  # it is noise
        areas.append(box.mean())
    # 1/50 to 1/3, less at most where a side is longer than the frame.
    assert max(areas) < 0.4 and 0.1 < np.mean(areas) < 0.25


def test_a_resized_window_has_the_area_and_the_ratio():
    draws = RNG.random((200, 5)).astype("float32")
    areas, ratios = [], []
    for draw in draws:
        y, x, scale_y, scale_x, flip = augmentation.resized_window(
            draw, 60, 80, (0.3, 0.5), (0.75, 4 / 3), 16, True
        ).numpy()
        rows, columns = 16 * scale_y, 16 * scale_x
        assert 0 <= y * scale_y <= 60 - rows + 1e-9
        assert 0 <= x * scale_x <= 80 - columns + 1e-9
        assert flip == (draw[4] < 0.5)
        areas.append(rows * columns / 4800)
        ratios.append(columns / rows)
    assert 0.3 <= min(areas) and max(areas) <= 0.5
    assert np.mean(areas) == pytest.approx(0.4, abs=5 * 0.06 / 200**0.5)
    assert 0.75 <= min(ratios) and max(ratios) <= 4 / 3
    assert np.std(np.log(ratios)) > 0.1


def test_random_operations_are_a_function_of_the_seed():
    clip = tf.constant(CLIP)
    kinds = set()
    for number in range(20):
        first = augmentation.rand_augment(clip, (1, number), 2, 7).numpy()
        again = augmentation.rand_augment(clip, (1, number), 2, 7).numpy()
        np.testing.assert_array_equal(first, again)
        np.testing.assert_array_equal(first[0], first[1])  # one draw a clip
        kinds.add(first.tobytes())
    assert len(kinds) > 15


def test_strides_are_as_often_longer_as_shorter():
    draws = tf.constant([0.0, 0.25, 0.5, 0.75])
    factors = augmentation.stride_factor(draws, 0.44)
    np.testing.assert_allclose(factors, [1 / 1.44, 1 / 1.2, 1, 1.2], rtol=1e-12)
