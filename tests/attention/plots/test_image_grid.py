import io

import numpy as np
import pytest

from nonlocal_tf.attention.plots import fonts, image_grid
from tests.attention.plots import rendered_text

Image = pytest.importorskip("PIL.Image")


def flat(colour, size=(20, 12)):
    return Image.new("RGB", size, colour)


def test_pictures_are_put_below_or_beside_each_other():
    red, blue = flat((255, 0, 0)), flat((0, 0, 255), (30, 7))
    below = np.asarray(image_grid.joined([red, blue], "y"))
    assert below.shape == (19, 30, 3)
    assert below[11, 19].tolist() == [255, 0, 0]
    assert below[12, 29].tolist() == [0, 0, 255]
    beside = np.asarray(image_grid.joined([red, blue], "x"))
    assert beside.shape == (12, 50, 3)
    assert beside[6, 20].tolist() == [0, 0, 255]


def test_ascii_leaves_accents_off_and_spells_other_letters():
    assert fonts.plain("Übung é naïve") == "Ubung e naive"
    assert fonts.plain("U\u0308bung") == "Ubung"
    assert fonts.plain("a 日本") == "a U+65E5U+672C"


@pytest.mark.parametrize("side", [23, 61])
def test_captions_stay_below_their_picture(side, monkeypatch):
    tiles = np.zeros((5, side, side, 3), np.uint8)
    captions = [["a name much too long for its picture", "train"]] * 5
    with rendered_text.recorded(monkeypatch) as texts:
        image_grid.sheet(list(tiles), captions, columns=3)
    rendered_text.check(texts)
    assert all(text.endswith("…") for *_, text in texts[::2])


def test_a_gif_plays_all_pictures_and_again():
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    content = image_grid.gif([flat(colour) for colour in colours], 160)
    with Image.open(io.BytesIO(content)) as film:
        assert (film.n_frames, film.info["loop"]) == (3, 0)
        for number, colour in enumerate(colours):
            film.seek(number)
            assert film.info["duration"] == 160
            assert film.convert("RGB").getpixel((3, 4)) == colour


def test_a_gif_keeps_a_few_bright_pixels_among_many_greys():
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 200, (64, 64, 1), np.uint8).repeat(3, 2)
    grey[10:12, 20:22] = (240, 228, 66)
    content = image_grid.gif([Image.fromarray(grey)], 100)
    with Image.open(io.BytesIO(content)) as film:
        red, _, blue = film.convert("RGB").getpixel((20, 10))
    assert red > 200 and blue < 110
