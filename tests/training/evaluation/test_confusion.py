import math

import numpy as np
import pytest

from tests.pictures import lettering
from tests.training.evaluation.test_video_scores import made
from training.evaluation import confusion


def test_rows_are_shares_of_a_class():
    labels = np.array([0, 0, 0, 2])
    scores = np.eye(3)[[0, 0, 1, 2]][:, None]
    ok = np.array([True, True, True, False])
    shares = confusion.shares(made(scores, labels, ok=ok))
    np.testing.assert_allclose(shares, [[2 / 3, 1 / 3, 0], [0] * 3, [0] * 3])


def test_colours_grow_lighter():
    # Luminance as in ITU-R BT.709.
    light = confusion.colours(np.linspace(0, 1, 101)) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > 0).all()


@pytest.mark.parametrize("count", [3, 61])
def test_each_square_has_the_colour_of_its_share(count):
    shares = np.random.default_rng(0).dirichlet(np.ones(count), count)
    names = [f"class {number}" for number in range(count)]
    picture = np.asarray(confusion.draw(shares, names))
    cell = 48 if count == 3 else 11
    # The squares are at the lower left; the scale is to the right of them.
    expected = np.kron(
        confusion.colours(shares), np.ones((cell, cell, 1), np.uint8)
    )
    side = count * cell
    room = 0 if count > 60 else math.ceil(confusion._width("class 0"))
    corner = 16 + 22 + 8 + room
    got = picture[corner : corner + side, corner : corner + side]
    # In the corners of squares there are no numbers.
    np.testing.assert_array_equal(got[::cell, ::cell], expected[::cell, ::cell])


@pytest.mark.parametrize("count", [1, 2, 7, 20, 60])
def test_no_text_is_cut_or_over_another(count, monkeypatch):
    names = [f"täglich {n} " + "noch länger " * (n % 4) for n in range(count)]
    with lettering.recorded(monkeypatch) as texts:
        picture = confusion.draw(np.full((count, count), 1 / count), names)
    lettering.check(texts)
    shown = [text for *_, text in texts]
    assert f"täglich {count - 1}" in " ".join(shown)
    assert picture.width < 1400
