import numpy as np
import pytest

from tests.training.evaluation.test_video_scores import made
from tests.training.runs import texts
from training.evaluation import confusion


def names_of(count):
    return [f"täglich {n} " + "noch länger " * (n % 4) for n in range(count)]


def test_rows_are_shares_of_a_class():
    labels = np.array([0, 0, 0, 2])
    scores = np.eye(3)[[0, 0, 1, 2]][:, None]
    ok = np.array([True, True, True, False])
    shares = confusion.shares(made(scores, labels, ok=ok))
    np.testing.assert_allclose(shares, [[2 / 3, 1 / 3, 0], [0] * 3, [0] * 3])


def test_several_labels_a_video_have_no_picture(tmp_path):
    scored = made(np.full((2, 1, 3), 0.5), np.eye(2, 3, dtype="uint8"))
    assert "several labels" in confusion.write(tmp_path / "a.png", scored)
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("count", [3, 61, 800])
def test_each_cell_has_the_colour_of_its_share(count):
    pytest.importorskip("matplotlib")
    shares = np.random.default_rng(0).dirichlet(np.ones(count), count)
    axes, bar = confusion.figure(shares, names_of(count)).axes
    (image,) = axes.images
    np.testing.assert_allclose(image.get_array() ** 2, shares)
    assert image.get_clim() == (0, 1)
    np.testing.assert_allclose(bar.get_yticks() ** 2, confusion.TICKS)
    # A cell is a whole number of pixels wide.
    assert axes.figure.bbox.width % count == 0


@pytest.mark.parametrize("count", [2, 20, 21, 60, 61])
def test_names_and_numbers_are_written_where_there_is_room(count):
    pytest.importorskip("matplotlib")
    shares = np.eye(count)
    names = [f"_Übung $x{n}$" for n in range(count)]
    figure = confusion.figure(shares, names)
    axes = figure.axes[0]
    figure.draw_without_rendering()
    expected = names if count <= confusion.LABELS_UP_TO else []
    for axis in (axes.xaxis, axes.yaxis):
        assert [t.get_text() for t in axis.get_ticklabels()] == expected
    numbers = count if count <= confusion.NUMBERS_UP_TO else 0
    assert [text.get_text() for text in axes.texts] == ["100"] * numbers


@pytest.mark.parametrize("count", [1, 2, 7, 20, 60])
def test_no_text_is_over_another(count, monkeypatch):
    pytest.importorskip("matplotlib")
    figure = confusion.figure(
        np.full((count, count), 1 / count), names_of(count)
    )
    texts.check_apart(texts.drawn(figure, monkeypatch))


def test_the_picture_is_always_the_same_and_not_too_wide():
    pytest.importorskip("matplotlib")
    shares, names = np.eye(60), ["a name without end " * 9] * 60
    content = confusion.png(shares, names)
    assert content == confusion.png(shares, names)
    assert int.from_bytes(content[16:20]) < 2400
