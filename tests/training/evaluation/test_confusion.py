import numpy as np
import pytest

from tests.training.evaluation.scored_videos import make_scores
from tests.training.runs import texts
from training.evaluation import confusion


def names_of(count):
    return [f"täglich {n} " + "noch länger " * (n % 4) for n in range(count)]


def test_rows_are_normalized():
    labels = np.array([0, 0, 0, 2])
    scores = np.eye(3)[[0, 0, 1, 2]][:, None]
    ok = np.array([True, True, True, False])
    shares = confusion.shares(make_scores(scores, labels, ok=ok))
    np.testing.assert_allclose(shares, [[2 / 3, 1 / 3, 0], [0] * 3, [0] * 3])


def test_multi_label_scores_have_no_confusion_matrix(tmp_path):
    scored = make_scores(np.full((2, 1, 3), 0.5), np.eye(2, 3, dtype="uint8"))
    assert "several labels" in confusion.write(tmp_path / "a.png", scored)
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("count", [3, 61, 800])
def test_cells_have_the_colour_of_their_share(count):
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
def test_names_and_numbers_are_drawn_up_to_a_number_of_classes(count):
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
def test_texts_do_not_overlap(count, monkeypatch):
    pytest.importorskip("matplotlib")
    figure = confusion.figure(
        np.full((count, count), 1 / count), names_of(count)
    )
    texts.check_apart(texts.drawn(figure, monkeypatch))


def test_image_is_reproducible_and_bounded():
    pytest.importorskip("matplotlib")
    shares, names = np.eye(60), ["a name without end " * 9] * 60
    content = confusion.png(shares, names)
    assert content == confusion.png(shares, names)
    assert int.from_bytes(content[16:20]) < 2400
