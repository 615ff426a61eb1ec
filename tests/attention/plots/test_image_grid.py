import io

import numpy as np
import pytest

from nonlocal_tf.attention.plots import image_grid
from tests.attention.plots import rendered_text

Image = pytest.importorskip("PIL.Image")


def flat(color, size=(20, 12)):
    return Image.new("RGB", size, color)


def test_images_are_concatenated_vertically_or_horizontally():
    red, blue = flat((255, 0, 0)), flat((0, 0, 255), (30, 7))
    vertical = np.asarray(image_grid.concatenate_images([red, blue], "y"))
    assert vertical.shape == (19, 30, 3)
    assert vertical[11, 19].tolist() == [255, 0, 0]
    assert vertical[12, 29].tolist() == [0, 0, 255]
    horizontal = np.asarray(image_grid.concatenate_images([red, blue], "x"))
    assert horizontal.shape == (12, 50, 3)
    assert horizontal[6, 20].tolist() == [0, 0, 255]


@pytest.mark.parametrize("side", [23, 61])
def test_captions_keep_to_the_width_of_their_image(side, monkeypatch):
    images = np.zeros((5, side, side, 3), np.uint8)
    captions = [["a name much too long for its image", "train"]] * 5
    with rendered_text.recorded(monkeypatch) as texts:
        image_grid.draw_image_grid(list(images), captions, columns=3)
    rendered_text.check(texts)
    assert all(text.endswith("…") for *_, text in texts[::2])


def test_a_gif_repeats_all_images():
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    content = image_grid.encode_gif([flat(color) for color in colors], 160)
    with Image.open(io.BytesIO(content)) as gif:
        assert (gif.n_frames, gif.info["loop"]) == (3, 0)
        for number, color in enumerate(colors):
            gif.seek(number)
            assert gif.info["duration"] == 160
            assert gif.convert("RGB").getpixel((3, 4)) == color


def test_a_gif_keeps_a_few_bright_pixels_among_many_grays():
    rng = np.random.default_rng(0)
    gray = rng.integers(0, 200, (64, 64, 1), np.uint8).repeat(3, 2)
    gray[10:12, 20:22] = (240, 228, 66)
    content = image_grid.encode_gif([Image.fromarray(gray)], 100)
    with Image.open(io.BytesIO(content)) as gif:
        red, _, blue = gif.convert("RGB").getpixel((20, 10))
    assert red > 200 and blue < 110
